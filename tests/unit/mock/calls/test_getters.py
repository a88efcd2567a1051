import inspect

import pynvml
import pytest

from exporter.mock import load_scenario
from exporter.mock.calls.tables import CHOICES, NUMBERS, PAIRS, TEXTS
from tests.unit.fake_clock import FakeClock
from tests.unit.mock_machines import refusal, scenario, started

NOT_SUPPORTED = pynvml.NVML_ERROR_NOT_SUPPORTED
L1 = pynvml.NVML_MEMORY_LOCATION_L1_CACHE
LINKED = "gpus: [{profile: h100-sxm, nvlink: true, values: {nvlink_replay_errors: 5}}, {profile: h100-sxm}]"


def test_the_recorded_h100_answers_as_it_was_recorded(clock: FakeClock) -> None:
    nvml = started(scenario("gpus: [{profile: h100-sxm}]"), clock)
    gpu = nvml.nvmlDeviceGetHandleByIndex(0)
    assert nvml.nvmlDeviceGetPerformanceState(gpu) == 0
    assert nvml.nvmlDeviceGetPowerManagementLimitConstraints(gpu) == [200_000, 700_000]
    assert nvml.nvmlDeviceGetMaxClockInfo(gpu, pynvml.NVML_CLOCK_SM) == 1980
    assert nvml.nvmlDeviceGetMaxClockInfo(handle=gpu, type=pynvml.NVML_CLOCK_VIDEO) == 1545
    assert nvml.nvmlDeviceGetTemperatureThreshold(gpu, pynvml.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN) == 89
    assert nvml.nvmlDeviceGetMemoryErrorCounter(gpu, 0, 1, pynvml.NVML_MEMORY_LOCATION_SRAM) == 0
    assert nvml.nvmlDeviceGetInforomVersion(gpu, pynvml.NVML_INFOROM_ECC) == "7.16"
    assert nvml.nvmlDeviceGetCpuAffinity(gpu, 4) == [65535, 0, 0, 0]
    assert nvml.nvmlDeviceValidateInforom(gpu) is None


def test_what_the_recorded_h100_refused_is_refused(clock: FakeClock) -> None:
    nvml = started(scenario("gpus: [{profile: h100-sxm}]"), clock)
    gpu = nvml.nvmlDeviceGetHandleByIndex(0)
    assert refusal(nvml.nvmlDeviceGetAutoBoostedClocksEnabled, gpu) == NOT_SUPPORTED
    assert refusal(nvml.nvmlDeviceGetRetiredPages, gpu, 0) == NOT_SUPPORTED
    assert refusal(nvml.nvmlDeviceGetMemoryErrorCounter, gpu, 0, 0, L1) == NOT_SUPPORTED
    assert refusal(nvml.nvmlDeviceGetInforomVersion, gpu, pynvml.NVML_INFOROM_POWER) == NOT_SUPPORTED
    assert refusal(nvml.nvmlDeviceGetNvLinkState, gpu, 0) == NOT_SUPPORTED
    assert refusal(nvml.nvmlDeviceGetMaxClockInfo, gpu, 99) == pynvml.NVML_ERROR_INVALID_ARGUMENT


@pytest.mark.parametrize("function", [*NUMBERS, *CHOICES, *PAIRS, *TEXTS])
def test_a_function_of_a_table_has_pynvmls_parameters(function: str, clock: FakeClock) -> None:
    nvml = started(load_scenario("t4"), clock)
    assert inspect.signature(getattr(nvml, function)) == inspect.signature(getattr(pynvml, function))


def test_clocks_are_held_down_by_another_reason_under_load_than_idle(clock: FakeClock) -> None:
    nvml = started(scenario("gpus: [{profile: h100-sxm}, {profile: h100-sxm, load: 50}]"), clock)
    idle, busy = (nvml.nvmlDeviceGetHandleByIndex(index) for index in range(2))
    assert nvml.nvmlDeviceGetCurrentClocksEventReasons(idle) == pynvml.nvmlClocksEventReasonGpuIdle
    assert nvml.nvmlDeviceGetCurrentClocksEventReasons(busy) == pynvml.nvmlClocksEventReasonSwPowerCap


def test_each_gpu_has_a_serial_number_of_its_own(clock: FakeClock) -> None:
    nvml = started(scenario("gpus: [{profile: h100-sxm, count: 3}]"), clock)
    serials = {nvml.nvmlDeviceGetSerial(nvml.nvmlDeviceGetHandleByIndex(index)) for index in range(3)}
    assert serials == {"1650000000000", "1650000000001", "1650000000002"}


def test_links_are_there_where_the_scenario_has_them_and_count_their_errors(clock: FakeClock) -> None:
    nvml = started(scenario(LINKED), clock)
    linked, other = (nvml.nvmlDeviceGetHandleByIndex(index) for index in range(2))
    replays = pynvml.NVML_NVLINK_ERROR_DL_REPLAY
    assert nvml.nvmlDeviceGetNvLinkErrorCounter(linked, 17, replays) == 5
    assert nvml.nvmlDeviceGetNvLinkState(linked, 17) == 1
    assert refusal(nvml.nvmlDeviceGetNvLinkErrorCounter, linked, 18, replays) == pynvml.NVML_ERROR_INVALID_ARGUMENT
    assert refusal(nvml.nvmlDeviceGetNvLinkErrorCounter, other, 0, replays) == NOT_SUPPORTED
    assert nvml.nvmlDeviceGetP2PStatus(linked, other, pynvml.NVML_P2P_CAPS_INDEX_NVLINK) != pynvml.NVML_P2P_STATUS_OK
    assert nvml.nvmlDeviceGetP2PStatus(linked, other, pynvml.NVML_P2P_CAPS_INDEX_READ) == pynvml.NVML_P2P_STATUS_OK


def test_a_scenario_says_how_a_gpu_reaches_the_others_by_nvlink(clock: FakeClock) -> None:
    disabled = pynvml.NVML_P2P_STATUS_DISABLED_BY_REGKEY
    described = f"gpus: [{{profile: h200-sxm, values: {{nvlink_p2p_status: {disabled}}}}}, {{profile: h200-sxm}}]"
    nvml = started(scenario(described), clock)
    one, other = (nvml.nvmlDeviceGetHandleByIndex(index) for index in range(2))
    by_nvlink, by_reading = pynvml.NVML_P2P_CAPS_INDEX_NVLINK, pynvml.NVML_P2P_CAPS_INDEX_READ
    assert nvml.nvmlDeviceGetP2PStatus(one, other, by_nvlink) == disabled
    assert nvml.nvmlDeviceGetP2PStatus(other, one, by_nvlink) == pynvml.NVML_P2P_STATUS_OK
    assert nvml.nvmlDeviceGetP2PStatus(one, other, by_reading) == pynvml.NVML_P2P_STATUS_OK
