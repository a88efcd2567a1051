import pynvml
import pytest

from exporter.mock import load_scenario, scenario_names
from tests.unit.fake_clock import FakeClock
from tests.unit.mock_machines import refusal, started


@pytest.mark.parametrize("profile", scenario_names())
def test_a_gpu_is_found_by_index_and_has_a_place_and_an_identity_of_its_own(clock: FakeClock, profile: str) -> None:
    nvml = started(load_scenario(profile), clock)
    places, minors, uuids = set(), set(), set()
    for index in range(nvml.nvmlDeviceGetCount()):
        gpu = nvml.nvmlDeviceGetHandleByIndex(index)
        pci = nvml.nvmlDeviceGetPciInfo(gpu)
        assert pci.busId == f"{pci.domain:08X}:{pci.bus:02X}:{pci.device:02X}.0"
        assert pci.busIdLegacy == pci.busId[4:]
        assert pci.pciDeviceId & 0xFFFF == 0x10DE
        places.add(pci.busId)
        minors.add(nvml.nvmlDeviceGetMinorNumber(gpu))
        uuids.add(nvml.nvmlDeviceGetUUID(gpu))
    assert len(places) == len(minors) == len(uuids) == nvml.nvmlDeviceGetCount()
    assert refusal(nvml.nvmlDeviceGetHandleByIndex, 64) == pynvml.NVML_ERROR_INVALID_ARGUMENT


def test_minor_numbers_differ_from_indices_on_the_a100_machine(clock: FakeClock) -> None:
    nvml = started(load_scenario("a100-sxm"), clock)
    minors = [nvml.nvmlDeviceGetMinorNumber(nvml.nvmlDeviceGetHandleByIndex(index)) for index in range(4)]
    assert minors == [1, 0, 3, 2]
