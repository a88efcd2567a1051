import pynvml
import pytest

from exporter.mock import load_scenario, profile_names
from exporter.mock.machine.gauges import is_quantity
from exporter.mock.scenario.profile_file import load_profile
from tests.unit.fake_clock import FakeClock
from tests.unit.mock_machines import refusal, started

NOT_SUPPORTED = pynvml.NVML_ERROR_NOT_SUPPORTED


def test_a_t4_has_neither_memory_temperature_nor_remapped_rows_nor_gpm_nor_mig(clock: FakeClock) -> None:
    nvml = started(load_scenario("t4"), clock)
    gpu = nvml.nvmlDeviceGetHandleByIndex(0)
    absent = [82, 138, 139, 142, 143, 144, 145, 185]
    assert [answer.nvmlReturn for answer in nvml.nvmlDeviceGetFieldValues(gpu, absent)] == [NOT_SUPPORTED] * 8
    assert refusal(nvml.nvmlDeviceGetMigMode, gpu) == NOT_SUPPORTED
    assert nvml.nvmlDeviceGetMaxMigDeviceCount(gpu) == 0
    assert nvml.nvmlDeviceGetEncoderUtilization(gpu)[0] > 0
    assert nvml.nvmlDeviceGetPcieReplayCounter(gpu) == 0


def test_the_profiles_are_those_that_the_issue_asks_for() -> None:
    assert profile_names() == ("a100-sxm", "h100-sxm", "t4")
    assert len(load_scenario("h100-sxm").gpus) == 8
    divided = [bool(gpu.instances) for gpu in load_scenario("a100-sxm").gpus]
    assert divided == [False, False, True, True]


@pytest.mark.parametrize("name", profile_names())
def test_every_quantity_of_a_profile_can_be_answered(name: str) -> None:
    profile = load_profile(name)
    assert {quantity for quantity in (*profile.quantities, *profile.totals) if not is_quantity(quantity)} == set()
