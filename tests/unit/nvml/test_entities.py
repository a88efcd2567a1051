from collections.abc import Callable
from dataclasses import replace

import pynvml
import pytest

from exporter.mock import MockNvml
from exporter.model import Reason
from exporter.nvml.calls import Calls
from exporter.nvml.entities import UNKNOWN_MINOR, Layout, Target, count_gpus, find_layout, select, unmatched_ids
from exporter.settings import parse_devices
from tests.unit.fake_clock import FakeClock
from tests.unit.faulty_nvml import FaultyNvml, failing
from tests.unit.mock_machines import scenario, started

# GPU 0 is whole; GPU 1 has instances 2 (in two compute instances), 3 and 9; GPU 2 has instances 1 and 2.
MACHINE = """
gpus:
  - {profile: a100-sxm, minor: 5}
  - {profile: a100-sxm, minor: 4, mig: [1g.10gb, {profile: 3g.40gb, compute: [1, 2]}, 2g.20gb]}
  - {profile: a100-sxm, minor: 3, mig: [3g.40gb, 3g.40gb]}
"""
WHOLE = (None,)


def machine(text: str = MACHINE) -> FaultyNvml:
    return FaultyNvml(started(scenario(text), FakeClock()))


def layout_of(nvml: FaultyNvml | MockNvml, index: int) -> Layout:
    layout = find_layout(Calls(nvml), index)
    assert isinstance(layout, Layout)
    return layout


def selected(devices: str, layouts: dict[int, Layout] | None = None) -> dict[int, tuple[int | None, ...]]:
    """Return by GPU the ids of the instances that -d selects; None is the GPU as a whole."""
    nvml = machine()
    found = select(layouts or {index: layout_of(nvml, index) for index in range(3)}, parse_devices(devices))
    return {index: tuple(_instance_id(target) for target in device.targets) for index, device in found.items()}


def _instance_id(target: Target) -> int | None:
    instance = target.entity.instance
    return None if instance is None else instance.gpu_instance_id


def test_a_gpu_is_known_by_its_index_and_apart_from_that_its_minor_number() -> None:
    nvml = machine()
    gpu = layout_of(nvml, 0).whole.entity.gpu
    handle = nvml.nvmlDeviceGetHandleByIndex(0)
    assert (gpu.index, gpu.minor) == (0, 5)
    assert gpu.uuid == nvml.nvmlDeviceGetUUID(handle)
    assert gpu.model == "NVIDIA A100-SXM4-80GB"


def test_a_pci_bus_id_has_upper_case_as_dcgm_prints_it() -> None:
    nvml = machine("gpus: [{profile: h100-sxm}]")
    info = pynvml.nvmlPciInfo_t()
    info.busId = b"00000000:1b:00.0"
    nvml.replaced["nvmlDeviceGetPciInfo"] = lambda _: info
    assert layout_of(nvml, 0).whole.entity.gpu.pci_bus_id == "00000000:1B:00.0"


def undecodable(*_: object) -> str:
    return b"NVIDIA \xf8\x95".decode()


def test_a_gpu_whose_texts_are_no_utf_8_has_them_with_their_bad_bytes_replaced() -> None:
    nvml = machine()
    info = pynvml.nvmlPciInfo_t()
    info.busId = b"00000000:\xf8b:00.0"
    nvml.replaced |= {"nvmlDeviceGetPciInfo": lambda _: info, "nvmlDeviceGetName": undecodable}
    gpu = layout_of(nvml, 0).whole.entity.gpu
    assert (gpu.pci_bus_id, gpu.model) == ("00000000:\ufffdB:00.0", "NVIDIA \ufffd\ufffd")


@pytest.mark.parametrize("failure", [failing(pynvml.NVML_ERROR_UNKNOWN), failing(pynvml.NVML_ERROR_NOT_SUPPORTED), int])
def test_a_gpu_that_does_not_tell_its_name_or_place_is_there_without_them(failure: Callable[..., object]) -> None:
    """`int` raises a TypeError for a handle, as pynvml may for what it does not expect."""
    nvml = machine()
    known = layout_of(nvml, 0).whole.entity.gpu
    nvml.replaced["nvmlDeviceGetName"] = failure
    assert layout_of(nvml, 0).whole.entity.gpu == replace(known, model="")
    nvml.replaced |= {"nvmlDeviceGetPciInfo": failure, "nvmlDeviceGetMinorNumber": failure}
    gpu = layout_of(nvml, 0).whole.entity.gpu
    assert gpu == replace(known, model="", pci_bus_id="", minor=UNKNOWN_MINOR)


@pytest.mark.parametrize("garbage", [0xFFFFFFFF, 0x7FFFFFFF, 808_334_905])
def test_numbers_that_can_not_be_are_no_numbers_of_gpus_or_instances(garbage: int) -> None:
    """Nobody looks at four billion GPUs, and no device file has such a number."""
    nvml = machine()
    nvml.replaced["nvmlDeviceGetMinorNumber"] = lambda _: garbage
    assert layout_of(nvml, 0).whole.entity.gpu.minor == UNKNOWN_MINOR
    nvml.replaced = {"nvmlDeviceGetCount": lambda: garbage}
    assert count_gpus(Calls(nvml)) is Reason.OUT_OF_RANGE
    nvml.replaced = {"nvmlDeviceGetMaxMigDeviceCount": lambda _: garbage}
    assert find_layout(Calls(nvml), 1) is Reason.OUT_OF_RANGE
    nvml.replaced = {"nvmlDeviceGetGpuInstanceId": lambda _: garbage}
    assert find_layout(Calls(nvml), 1) is Reason.OUT_OF_RANGE


def test_gpus_are_counted() -> None:
    assert count_gpus(Calls(machine())) == 3


def test_an_instance_that_does_not_tell_its_name_is_there_without_its_profile() -> None:
    nvml = machine()
    known = [target.entity.instance for target in layout_of(nvml, 2).instances]
    whole = nvml.nvmlDeviceGetHandleByIndex(2)
    real = nvml.nvmlDeviceGetName
    nvml.replaced["nvmlDeviceGetName"] = lambda h: real(h) if h == whole else failing(pynvml.NVML_ERROR_UNKNOWN)()
    found = [target.entity.instance for target in layout_of(nvml, 2).instances]
    assert found == [replace(instance, profile="") for instance in known if instance]


@pytest.mark.parametrize("getter", ["nvmlDeviceGetName", "nvmlDeviceGetPciInfo", "nvmlDeviceGetMinorNumber"])
def test_a_gpu_that_is_lost_while_it_is_looked_at_is_lost(getter: str) -> None:
    nvml = machine()
    nvml.replaced[getter] = failing(pynvml.NVML_ERROR_GPU_IS_LOST)
    assert find_layout(Calls(nvml), 0) is Reason.GPU_LOST


def test_a_gpu_without_a_device_file_has_no_minor_number_and_is_there_all_the_same() -> None:
    nvml = machine()
    nvml.replaced["nvmlDeviceGetMinorNumber"] = failing(pynvml.NVML_ERROR_NOT_SUPPORTED)
    assert layout_of(nvml, 0).whole.entity.gpu.minor == UNKNOWN_MINOR


def test_two_compute_instances_of_a_gpu_instance_are_one_entity_with_two_uuids() -> None:
    layout = layout_of(machine(), 1)
    instances = [target.entity.instance for target in layout.instances]
    assert [(i.profile, len(i.uuids)) for i in instances if i] == [("3g.40gb", 2), ("2g.20gb", 1), ("1g.10gb", 1)]
    uuids = [uuid for instance in instances if instance for uuid in instance.uuids]
    assert len(set(uuids)) == 4
    assert all(uuid.startswith("MIG-") for uuid in uuids)
    ids = [instance.gpu_instance_id for instance in instances if instance]
    assert ids == sorted(ids)


def test_instances_behind_a_gpu_that_is_not_known_have_no_number_yet() -> None:
    nvml = machine()
    without_first = {index: layout_of(nvml, index) for index in (1, 2)}
    assert selected("i:0,3", without_first) == {}
    assert selected("i", without_first) == {1: (1, 5, 13), 2: (1, 2)}
    without_second = {index: layout_of(nvml, index) for index in (0, 2)}
    assert selected("i:0,3", without_second) == {}


def test_two_looks_at_the_same_devices_are_equal_and_another_handle_or_mig_mode_makes_another_layout() -> None:
    mock = started(scenario(MACHINE), FakeClock())
    first = layout_of(mock, 1)
    assert layout_of(mock, 1) == first
    gpu = mock.machine.gpus[1]
    mock.redivide(gpu, gpu.instances, reuses_handles=False)
    assert layout_of(mock, 1) != first
    whole = layout_of(mock, 0)
    mock.machine.gpus[0].is_mig_on = True
    assert layout_of(mock, 0) != whole


@pytest.mark.parametrize(
    ("name", "profile"),
    [
        ("NVIDIA A100-SXM4-80GB MIG 1c.3g.40gb", "3g.40gb"),
        ("NVIDIA H100 80GB HBM3 MIG 1g.10gb+me", "1g.10gb+me"),
        ("a name of another form", ""),
    ],
)
def test_a_profile_is_read_from_the_name_of_the_mig_device(name: str, profile: str) -> None:
    nvml = machine()
    nvml.replaced["nvmlDeviceGetName"] = lambda _: name
    instance = layout_of(nvml, 2).instances[0].entity.instance
    assert instance is not None
    assert instance.profile == profile


def _ids(nvml: FaultyNvml, index: int) -> tuple[int | None, ...]:
    return tuple(_instance_id(target) for target in layout_of(nvml, index).instances)


def test_flex_exports_gpus_without_instances_and_of_the_others_their_instances() -> None:
    nvml = machine()
    assert selected("f") == {0: WHOLE, 1: _ids(nvml, 1), 2: _ids(nvml, 2)}


def test_g_exports_gpus_as_wholes_by_their_index() -> None:
    assert selected("g") == {0: WHOLE, 1: WHOLE, 2: WHOLE}
    assert selected("g:0,2") == {0: WHOLE, 2: WHOLE}


def test_i_counts_instances_over_all_gpus_by_their_ids() -> None:
    nvml = machine()
    assert selected("i") == {1: _ids(nvml, 1), 2: _ids(nvml, 2)}
    assert selected("i:0") == {1: _ids(nvml, 1)[:1]}
    assert selected("i:2-3") == {1: _ids(nvml, 1)[2:], 2: _ids(nvml, 2)[:1]}
    assert selected("i:5") == {}


def test_selections_are_joined_and_nothing_is_there_twice() -> None:
    nvml = machine()
    both = {0: WHOLE, 1: (*WHOLE, *_ids(nvml, 1)), 2: (*WHOLE, *_ids(nvml, 2))}
    assert selected("g+i") == selected("i+g") == selected("f+g+i+i:0") == both
    assert selected("g:1+i:0") == {1: (*WHOLE, *_ids(nvml, 1)[:1])}
    assert selected("g:0+i:5") == {0: WHOLE}


def test_mig_mode_without_instances_exports_the_gpu() -> None:
    nvml = machine()
    nvml.replaced["nvmlDeviceGetMigMode"] = lambda _: [1, 1]
    nvml.replaced["nvmlDeviceGetMaxMigDeviceCount"] = lambda _: 7
    nvml.replaced["nvmlDeviceGetMigDeviceHandleByIndex"] = failing(pynvml.NVML_ERROR_NOT_FOUND)
    assert selected("f", {0: layout_of(nvml, 0)}) == {0: WHOLE}


@pytest.mark.parametrize(
    ("devices", "count", "expected"),
    [("f", 3, set()), ("g:0,2,3", 3, {3}), ("i:4,5,6", 3, {5, 6}), ("i:9", 4, set()), ("g:4+i:6", 3, {4, 6})],
)
def test_indices_that_nothing_has_are_told(devices: str, count: int, expected: set[int]) -> None:
    nvml = machine()
    layouts = {index: layout_of(nvml, index) for index in range(3)}
    assert unmatched_ids(layouts, count, parse_devices(devices)) == expected


@pytest.mark.parametrize(
    "function",
    [
        "nvmlDeviceGetHandleByIndex",
        "nvmlDeviceGetUUID",
        "nvmlDeviceGetName",
        "nvmlDeviceGetMigMode",
        "nvmlDeviceGetMaxMigDeviceCount",
        "nvmlDeviceGetMigDeviceHandleByIndex",
        "nvmlDeviceGetGpuInstanceId",
    ],
)
def test_a_gpu_that_is_lost_while_it_is_looked_at_is_lost_and_not_another_layout(function: str) -> None:
    nvml = machine()
    nvml.replaced[function] = failing(pynvml.NVML_ERROR_GPU_IS_LOST)
    assert find_layout(Calls(nvml), 1) is Reason.GPU_LOST


def test_a_mig_device_that_this_process_may_not_see_is_not_there() -> None:
    nvml = machine()
    nvml.replaced["nvmlDeviceGetMigDeviceHandleByIndex"] = failing(pynvml.NVML_ERROR_NO_PERMISSION)
    assert layout_of(nvml, 1).instances == ()
