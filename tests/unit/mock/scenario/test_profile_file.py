import pynvml

from exporter.mock import load_scenario
from exporter.mock.calls.field_values import ALL_LINKS
from tests.unit.fake_clock import FakeClock
from tests.unit.mock_machines import refusal, scenario, started

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


def test_default_scenarios_have_eight_h100s_and_two_divided_a100s() -> None:
    assert len(load_scenario("h100-sxm").gpus) == 8
    divided = [bool(gpu.instances) for gpu in load_scenario("a100-sxm").gpus]
    assert divided == [False, False, True, True]


def test_states_of_a_gpu_have_no_middle_between_idle_and_busy(clock: FakeClock) -> None:
    nvml = started(scenario("gpus: [{profile: rtx-4090, load: 1}, {profile: rtx-4090, load: 0}]"), clock)
    busy, idle = map(nvml.nvmlDeviceGetHandleByIndex, (0, 1))
    assert [nvml.nvmlDeviceGetPerformanceState(gpu) for gpu in (busy, idle)] == [2, 8]
    assert [nvml.nvmlDeviceGetClockInfo(gpu, pynvml.NVML_CLOCK_MEM) for gpu in (busy, idle)] == [10251, 405]
    assert [nvml.nvmlDeviceGetCurrPcieLinkGeneration(gpu) for gpu in (busy, idle)] == [4, 1]


def test_counters_of_nvlink_5_are_gone_with_the_links(clock: FakeClock) -> None:
    nvml = started(scenario("gpus: [{profile: b200}, {profile: b200, nvlink: false}]"), clock)
    linked, alone = map(nvml.nvmlDeviceGetHandleByIndex, (0, 1))
    wanted = [(pynvml.NVML_FI_DEV_NVLINK_COUNT_XMIT_BYTES, ALL_LINKS), (pynvml.NVML_FI_DEV_NVLINK_ERROR_DL_CRC, 0)]
    assert [answer.nvmlReturn for answer in nvml.nvmlDeviceGetFieldValues(linked, wanted)] == [0, NOT_SUPPORTED]
    assert [answer.nvmlReturn for answer in nvml.nvmlDeviceGetFieldValues(alone, wanted)] == [NOT_SUPPORTED] * 2
