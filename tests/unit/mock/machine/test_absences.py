import pynvml
import pytest

from exporter.mock import MockNvml
from tests.unit.fake_clock import FakeClock
from tests.unit.mock.faulty_machine import machine
from tests.unit.mock_machines import refusal, scenario, started

LOST = pynvml.NVML_ERROR_GPU_IS_LOST
NOT_LOADED = pynvml.NVML_ERROR_DRIVER_NOT_LOADED
UNINITIALIZED = pynvml.NVML_ERROR_UNINITIALIZED


def uuids(nvml: MockNvml) -> list[str]:
    return [nvml.nvmlDeviceGetUUID(nvml.nvmlDeviceGetHandleByIndex(i)) for i in range(nvml.nvmlDeviceGetCount())]


def test_a_gpu_that_is_unbound_is_seen_again_only_by_an_nvml_that_starts_after_it_is_bound(clock: FakeClock) -> None:
    nvml, gpu, sound = machine(clock, "[{kind: unbound, at_s: 10, until_s: 20}]")
    both, drivers = uuids(nvml), [nvml.pci_devices()]
    assert len(both) == 2
    clock.advance(10)
    drivers.append(nvml.pci_devices())
    assert refusal(nvml.nvmlDeviceGetPowerUsage, gpu) == LOST
    assert nvml.nvmlDeviceGetPowerUsage(sound) > 0
    nvml.nvmlShutdown()
    nvml.nvmlInit()
    assert uuids(nvml) == both[1:]
    assert nvml.nvmlDeviceGetIndex(nvml.nvmlDeviceGetHandleByIndex(0)) == 0
    clock.advance(10)
    drivers.append(nvml.pci_devices())
    assert uuids(nvml) == both[1:]
    nvml.nvmlShutdown()
    nvml.nvmlInit()
    assert uuids(nvml) == both
    assert [len(names) for names in drivers] == [2, 1, 2]
    assert drivers[1] < drivers[0] == drivers[2]


def test_a_mended_gpu_is_bound_again_and_stays_lost_for_an_nvml_that_was_started_before(clock: FakeClock) -> None:
    nvml, gpu, _ = machine(clock, "[{kind: unbound, at_s: 10}]")
    clock.advance(15)
    nvml.machine.mend(nvml.machine.gpus[0])
    assert len(nvml.pci_devices()) == 2
    assert refusal(nvml.nvmlDeviceGetPowerUsage, gpu) == LOST


@pytest.mark.parametrize(("version", "after"), [(", driver: '590.10'", "590.10"), ("", "580.159.04")])
def test_a_driver_that_is_reloaded_ends_every_nvml_and_may_be_another_version(
    clock: FakeClock, version: str, after: str
) -> None:
    fault = f"{{kind: driver-reload, at_s: 10, for_s: 5{version}}}"
    nvml = started(scenario(f"gpus: [{{profile: h100-sxm}}]\nfaults: [{fault}]"), clock)
    handle = nvml.nvmlDeviceGetHandleByIndex(0)
    assert nvml.nvmlSystemGetDriverVersion() == "580.159.04"
    clock.advance(10)
    assert refusal(nvml.nvmlDeviceGetPowerUsage, handle) == NOT_LOADED
    assert nvml.pci_devices() == frozenset()
    nvml.nvmlShutdown()
    assert refusal(nvml.nvmlInit) == NOT_LOADED
    clock.advance(5)
    assert refusal(nvml.nvmlDeviceGetCount) == UNINITIALIZED
    nvml.nvmlInit()
    assert nvml.nvmlSystemGetDriverVersion() == after
    assert nvml.nvmlDeviceGetPowerUsage(nvml.nvmlDeviceGetHandleByIndex(0)) > 0
