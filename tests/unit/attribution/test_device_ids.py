import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.attribution.device_ids import DeviceId, EntityIndex, parse_device_id
from exporter.model import Entity
from tests.unit.holding import gpu, instance, uuid_of

UUID = "GPU-8a1c3f5e-0b7d-4a52-9c1e-2f6d8b90a1c3"
MIG = "MIG-5d1f0c3a-77a2-5b0e-8d57-0a1b2c3d4e5f"

WHOLE, CROSSED, DIVIDED = gpu(0, minor=1), gpu(1, minor=0), gpu(2, minor=5)
ONE, TWO = instance(DIVIDED, 1, compute=2), instance(DIVIDED, 2)
INDEX = EntityIndex((WHOLE, CROSSED, ONE, TWO))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (UUID, DeviceId(uuid=UUID)),
        (f"{UUID}::3", DeviceId(uuid=UUID, replica="3")),
        (MIG, DeviceId(uuid=MIG)),
        (f"{MIG}::7", DeviceId(uuid=MIG, replica="7")),
        (f"MIG-{UUID}/3/0", DeviceId(uuid=UUID, gpu_instance_id=3)),
        (f"MIG-{UUID}/13/2::1", DeviceId(uuid=UUID, gpu_instance_id=13, replica="1")),
        ("nvidia0", DeviceId(minor=0)),
        ("nvidia15", DeviceId(minor=15)),
        ("nvidia0::2", DeviceId(minor=0, replica="2")),
        ("nvidia0/vgpu1", DeviceId(minor=0, replica="1")),
        ("nvidia0/gi2", DeviceId(minor=0, gpu_instance_id=2)),
        ("nvidia3/gi11/vgpu0", DeviceId(minor=3, gpu_instance_id=11, replica="0")),
    ],
)
def test_every_form_of_id_is_taken_apart(text: str, parts: DeviceId) -> None:
    assert parse_device_id(text) == parts


@pytest.mark.parametrize(
    "text",
    [
        "",
        "GPU",
        "gpu-8a1c3f5e",
        "0",
        "tegra",
        "nvidia",
        "nvidiactl",
        "nvidia-1",
        "nvidia 0",
        "nvidia0\n",
        "nvidia0/",
        "nvidia0/gi",
        "nvidia0/vgpu",
        "nvidia0/vgpu1/gi2",
        "nvidia0/gi2/vgpu1/vgpu2",
        "nvidia٣",  # a digit, of another script
        f"nvidia{'9' * 5000}",
        "/dev/nvidia0",
        "::3",
    ],
)
def test_any_other_form_is_no_id_of_a_gpu(text: str) -> None:
    assert parse_device_id(text) is None


@pytest.mark.parametrize(
    ("device_id", "entity"),
    [
        (f"{WHOLE.gpu.uuid}-3", WHOLE),  # HAMi, Volcano
        (f"{CROSSED.gpu.uuid}-_-17", CROSSED),  # Aliyun
        (f"{uuid_of(ONE, 1)}-0", ONE),
        (f"{DIVIDED.gpu.uuid}-0", DIVIDED),
        ("nvidia5", DIVIDED),
        (f"MIG-{WHOLE.gpu.uuid}/9/0", WHOLE),
        (f"node-1/{WHOLE.gpu.uuid}", WHOLE),
        ("nvidia1/share2", WHOLE),
        ("nvidia0/gi9", CROSSED),
        (f"{UUID}-3", None),
        ("nvidia7-1", None),
        ("nvidia17", None),
        ("GPU-1", None),
        ("0-5", None),
        ("", None),
    ],
)
def test_an_id_of_another_form_may_name_an_entity_all_the_same(device_id: str, entity: Entity | None) -> None:
    assert INDEX.find_within(device_id) == entity


@given(st.text() | st.from_regex(r"(GPU|MIG|nvidia)[-0-9a-f/:_]{0,60}", fullmatch=True))
def test_any_text_names_an_entity_or_none(text: str) -> None:
    assert INDEX.find_within(text) in {WHOLE, CROSSED, DIVIDED, ONE, TWO, None}


@pytest.mark.parametrize(
    ("device_id", "entity"),
    [
        (WHOLE.gpu.uuid, WHOLE),
        (f"{CROSSED.gpu.uuid}::1", CROSSED),
        (f"{WHOLE.gpu.uuid}::", WHOLE),
        ("nvidia1", WHOLE),
        ("nvidia0", CROSSED),
        ("nvidia0/vgpu9", CROSSED),
        (uuid_of(ONE), ONE),
        (uuid_of(ONE, 1), ONE),
        (f"{uuid_of(TWO)}::7", TWO),
        (f"MIG-{DIVIDED.gpu.uuid}/1/0", ONE),
        (f"MIG-{DIVIDED.gpu.uuid}/1/1", ONE),
        (f"MIG-{DIVIDED.gpu.uuid}/2/0", TWO),
        ("nvidia5/gi1", ONE),
        ("nvidia5/gi2/vgpu1", TWO),
    ],
)
def test_id_means_its_gpu_or_instance_and_a_number_in_it_is_the_minor_one(device_id: str, entity: Entity) -> None:
    assert found(device_id) == entity


@pytest.mark.parametrize(
    "device_id",
    [
        UUID,
        MIG,
        "GPU-",
        "nvidia2",  # an index, and no minor number
        "nvidia5",  # divided, so no pod can hold it as a whole
        DIVIDED.gpu.uuid,
        "nvidia5/gi3",
        "nvidia1/gi1",
        f"MIG-{DIVIDED.gpu.uuid}/7/0",
        f"MIG-{WHOLE.gpu.uuid}/1/0",
        WHOLE.gpu.uuid.upper(),
    ],
)
def test_id_of_what_is_not_there_means_nothing(device_id: str) -> None:
    assert found(device_id) is None


def test_gpus_without_a_minor_number_are_found_by_uuid_alone() -> None:
    without = gpu(0, minor=-1), gpu(1, minor=-1)
    index = EntityIndex(without)
    for entity in without:
        assert index.find(DeviceId(uuid=entity.gpu.uuid)) == entity


FRAGMENTS = st.sampled_from(
    ["GPU-", "MIG-", "nvidia", "/gi", "/vgpu", "::", "/", "0", "17", "9" * 400, "٣", "²", "8a1c", "\n", "\x00"]
)


@given(st.text() | st.lists(FRAGMENTS, max_size=8).map("".join))
@example("MIG-GPU-8a1c/" + "9" * 5000 + "/0")
def test_no_text_is_too_odd(text: str) -> None:
    device = parse_device_id(text)
    assert device is None or device.uuid is not None or device.minor is not None
    assert device is None or INDEX.find(device) in {None, WHOLE, CROSSED, ONE, TWO}


@given(st.sampled_from([UUID, MIG, "nvidia0", "nvidia0/gi2", f"MIG-{UUID}/1/0"]), st.text())
def test_replica_says_nothing_about_which_device_it_is(device_id: str, replica: str) -> None:
    whole, share = parse_device_id(device_id), parse_device_id(f"{device_id}::{replica}")
    assert whole is not None
    assert share == whole._replace(replica=replica)


def found(device_id: str) -> Entity | None:
    device = parse_device_id(device_id)
    assert device is not None
    return INDEX.find(device)
