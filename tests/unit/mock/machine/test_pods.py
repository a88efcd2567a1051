"""The pods of a scenario, with the ids and resources by which kubelet would list them."""

import pytest

from exporter.attribution.device_ids import parse_device_id
from exporter.mock import MockNvml, MockPod, load_scenario, scenario_names
from tests.unit.fake_clock import FakeClock
from tests.unit.mock_machines import scenario, started

MACHINE = """
gpus:
  - {profile: t4, minor: 7}
  - {profile: t4, minor: 3}
  - {profile: a100-sxm, minor: 4, mig: [1g.10gb, {profile: 3g.40gb, compute: [1, 2]}]}
"""


def machine(containers: str) -> MockNvml:
    pods = f"pods: [{{namespace: prod, name: p, containers: {containers}}}]"
    return started(scenario(f"{MACHINE}{pods}"), FakeClock())


def devices(containers: str) -> list[dict[str, tuple[str, ...]]]:
    return [dict(container.devices) for pod in machine(containers).pods() for container in pod.containers]


def uuids() -> tuple[list[str], list[str]]:
    nvml = machine("[]")
    gpus = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(3)]
    migs = [nvml.nvmlDeviceGetMigDeviceHandleByIndex(gpus[2], index) for index in range(3)]
    return [nvml.nvmlDeviceGetUUID(gpu) for gpu in gpus], [nvml.nvmlDeviceGetUUID(mig) for mig in migs]


def test_a_device_plugin_would_offer_whole_gpus_and_mig_devices_of_each_kind() -> None:
    gpus, migs = uuids()
    assert machine("[]").devices() == {
        "nvidia.com/gpu": tuple(gpus[:2]),
        "nvidia.com/mig-1c.3g.40gb": (migs[0],),
        "nvidia.com/mig-2c.3g.40gb": (migs[1],),
        "nvidia.com/mig-1g.10gb": (migs[2],),
    }


def test_devices_have_the_uuids_that_nvml_gives_and_their_usual_resources() -> None:
    gpus, migs = uuids()
    found = devices("[{gpus: [0, 1]}, {name: b, gpus: [{gpu: 2, mig: 0}, {gpu: 2, mig: 2}, {gpu: 1, replica: 3}]}]")
    assert found == [
        {"nvidia.com/gpu": (gpus[0], gpus[1])},
        {
            "nvidia.com/mig-1c.3g.40gb": (migs[0],),
            "nvidia.com/mig-1g.10gb": (migs[2],),
            "nvidia.com/gpu": (f"{gpus[1]}::3",),
        },
    ]


def test_device_names_are_gkes_by_minor_number() -> None:
    every = "[0, {gpu: 0, replica: 1}, {gpu: 2, mig: 2}, {gpu: 2, mig: 2, replica: 5}]"
    (found,) = devices(f"[{{gpus: {every}, ids: device-name, resource: nvidia.com/gpu}}]")
    assert found == {"nvidia.com/gpu": ("nvidia7", "nvidia7/vgpu1", "nvidia4/gi11", "nvidia4/gi11/vgpu5")}
    assert None not in [parse_device_id(name) for names in found.values() for name in names]


def test_a_resource_of_its_own_holds_for_the_whole_container() -> None:
    _, migs = uuids()
    (found,) = devices("[{resource: nvidia.com/gpu.shared, gpus: [{gpu: 2, mig: 0, replica: 0}]}]")
    assert found == {"nvidia.com/gpu.shared": (f"{migs[0]}::0",)}


def test_a_pod_may_have_no_container_and_a_container_no_gpu() -> None:
    assert MockNvml(scenario(f"{MACHINE}pods: [{{namespace: a, name: b}}]"), FakeClock()).pods() == (
        MockPod("a", "b", ()),
    )
    assert devices("[{name: sidecar}]") == [{}]


def test_the_same_seed_gives_the_same_pods_and_another_one_other_ids() -> None:
    text = "gpus: [{profile: t4}]\npods: [{namespace: a, name: b, containers: [{gpus: [0]}]}]"
    first, again, other = (MockNvml(scenario(f"seed: {seed}\n{text}"), FakeClock()).pods() for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("name", scenario_names())
def test_every_machine_of_the_package_has_pods_on_gpus_that_are_there(name: str) -> None:
    nvml = started(load_scenario(name), FakeClock())
    ids = [i for pod in nvml.pods() for c in pod.containers for held in c.devices.values() for i in held]
    parsed = [parse_device_id(device_id) for device_id in ids]
    uuids = {gpu.uuid for gpu in nvml.machine.gpus}
    uuids |= {instance.uuid for gpu in nvml.machine.gpus for instance in gpu.instances}
    assert ids
    for device in parsed:
        assert device is not None
        assert device.uuid in uuids


def test_the_h100_machine_shows_a_shared_gpu_a_pod_with_two_and_an_idle_gpu_that_nobody_holds() -> None:
    nvml = started(load_scenario("h100-sxm"), FakeClock())
    held = [
        (pod.name, i.partition("::")[0])
        for pod in nvml.pods()
        for container in pod.containers
        for ids in container.devices.values()
        for i in ids
    ]
    index = {nvml.nvmlDeviceGetUUID(gpu): n for n, gpu in enumerate(map(nvml.nvmlDeviceGetHandleByIndex, range(8)))}
    by_gpu = [[pod for pod, uuid in held if index[uuid] == n] for n in range(8)]
    assert [len(pods) for pods in by_gpu] == [0, 1, 2, 1, 1, 1, 1, 1]
    assert by_gpu[3] == by_gpu[4]
    assert len({pod.namespace for pod in nvml.pods()}) == 2
