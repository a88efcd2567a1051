import math

import pynvml
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.mock import load_scenario
from exporter.mock.machine.loads import Load
from exporter.mock.machine.signals import Signal, Steps
from tests.unit.fake_clock import FakeClock
from tests.unit.mock.activities import activities, waits
from tests.unit.mock_machines import energy_of, field, gpm, gpm_sample, one_gpu, refusal, scenario, started

NOT_SUPPORTED = pynvml.NVML_ERROR_NOT_SUPPORTED


def test_an_idle_and_a_busy_h100_answer_what_was_recorded(clock: FakeClock) -> None:
    nvml = started(load_scenario("h100-sxm"), clock)
    idle, busy = (nvml.nvmlDeviceGetHandleByIndex(index) for index in (0, 1))
    assert nvml.nvmlSystemGetDriverVersion() == "580.159.04"
    assert nvml.nvmlSystemGetNVMLVersion() == "13.580.159.04"
    assert nvml.nvmlDeviceGetName(idle) == "NVIDIA H100 80GB HBM3"
    clocks = (pynvml.NVML_CLOCK_GRAPHICS, pynvml.NVML_CLOCK_SM, pynvml.NVML_CLOCK_MEM, pynvml.NVML_CLOCK_VIDEO)
    assert [nvml.nvmlDeviceGetClockInfo(idle, clock_type) for clock_type in clocks] == [870, 870, 2619, 870]
    assert [nvml.nvmlDeviceGetClockInfo(busy, clock_type) for clock_type in clocks] == [1455, 1455, 2619, 1485]
    assert [nvml.nvmlDeviceGetTemperature(gpu, pynvml.NVML_TEMPERATURE_GPU) for gpu in (idle, busy)] == [44, 67]
    assert [field(nvml, gpu, pynvml.NVML_FI_DEV_MEMORY_TEMP) for gpu in (idle, busy)] == [[47], [58]]
    rates = [nvml.nvmlDeviceGetUtilizationRates(gpu) for gpu in (idle, busy)]
    assert [(rate.gpu, rate.memory) for rate in rates] == [(0, 0), (100, 33)]
    memory = nvml.nvmlDeviceGetMemoryInfo(busy, pynvml.nvmlMemory_v2)
    assert (memory.total, memory.reserved, memory.used) == (85520809984, 503316480, 5489098752)
    assert memory.total == memory.reserved + memory.used + memory.free
    older = nvml.nvmlDeviceGetMemoryInfo(busy)
    assert (older.total, older.free, older.used) == (85520809984, 79528394752, 5992415232)
    assert nvml.nvmlDeviceGetEncoderUtilization(busy) == nvml.nvmlDeviceGetDecoderUtilization(busy) == [0, 100000]
    assert nvml.nvmlDeviceGetGridLicensableFeatures(busy).isGridLicenseSupported == 0
    assert nvml.nvmlDeviceGetMigMode(busy) == [0, 0]
    assert refusal(nvml.nvmlDeviceGetFanSpeed, busy) == NOT_SUPPORTED


def test_a_ring_holds_71_samples_a_fifth_of_a_second_apart(clock: FakeClock) -> None:
    nvml = started(load_scenario("h100-sxm"), clock)
    gpu = nvml.nvmlDeviceGetHandleByIndex(1)
    clock.advance(20.1)
    value_type, samples = nvml.nvmlDeviceGetSamples(gpu, pynvml.NVML_GPU_UTILIZATION_SAMPLES, 0)
    assert value_type == pynvml.NVML_VALUE_TYPE_UNSIGNED_INT
    times = [sample.timeStamp for sample in samples]
    assert times == [1_800_000_006_000_000 + 200_000 * number for number in range(71)]
    _, newer = nvml.nvmlDeviceGetSamples(gpu, pynvml.NVML_MEMORY_UTILIZATION_SAMPLES, times[-3])
    assert [(sample.timeStamp, sample.sampleValue.uiVal) for sample in newer] == [(t, 33) for t in times[-2:]]
    ring = (gpu, pynvml.NVML_GPU_UTILIZATION_SAMPLES, times[-1])
    assert refusal(nvml.nvmlDeviceGetSamples, *ring) == pynvml.NVML_ERROR_NOT_FOUND


def test_a_scenarios_own_values_replace_the_profiles(clock: FakeClock) -> None:
    values = (
        "{pcie_replay_count: 7, fan_speed_percent: {idle: 30, busy: 80}, remapped_rows_pending: 1, "
        "power_average_mw: 5000, gpu_utilization_percent: 12, gpm.SM_OCCUPANCY: 3}"
    )
    nvml = started(scenario(f"gpus: [{{profile: h100-sxm, load: 50, values: {values}}}]"), clock)
    gpu = nvml.nvmlDeviceGetHandleByIndex(0)
    assert nvml.nvmlDeviceGetPcieReplayCounter(gpu) == 7
    assert nvml.nvmlDeviceGetFanSpeed(gpu) == 55
    assert nvml.nvmlDeviceGetPowerUsage(gpu) == 5000
    assert nvml.nvmlDeviceGetUtilizationRates(gpu).gpu == 12
    older = gpm_sample(nvml, gpu)
    clock.advance(1)
    assert gpm(nvml, older, gpm_sample(nvml, gpu), pynvml.NVML_GPM_METRIC_SM_OCCUPANCY) == [3]
    assert field(nvml, gpu, pynvml.NVML_FI_DEV_PCIE_REPLAY_COUNTER, pynvml.NVML_FI_DEV_REMAPPED_PENDING) == [7, 1]


profiles = st.sampled_from(["h100-sxm", "a100-sxm", "t4"])


@settings(max_examples=20, deadline=None)
@given(profiles, activities, waits)
def test_the_rings_mean_is_the_loads_integral_within_a_point(profile: str, activity: Signal, wait: float) -> None:
    clock = FakeClock()
    nvml, gpu = one_gpu(profile, Load(activity), clock)
    clock.advance(wait)
    _, samples = nvml.nvmlDeviceGetSamples(gpu, pynvml.NVML_GPU_UTILIZATION_SAMPLES, 0)
    newest_s = samples[-1].timeStamp / 1e6 - 1_800_000_000
    true_mean = 100 * activity.integral(newest_s - 0.2 * len(samples), newest_s) / (0.2 * len(samples))
    assert math.fsum(sample.sampleValue.uiVal for sample in samples) / len(samples) == pytest.approx(true_mean, abs=1)


@settings(deadline=None)
@given(activities, st.lists(st.floats(0.05, 10), min_size=1, max_size=10))
def test_a_reader_that_carries_the_last_time_over_loses_no_sample(activity: Signal, pauses: list[float]) -> None:
    clock = FakeClock()
    nvml, gpu = one_gpu("h100-sxm", Load(activity), clock)
    clock.advance(0.05)
    kind = pynvml.NVML_GPU_UTILIZATION_SAMPLES
    first = last = nvml.nvmlDeviceGetSamples(gpu, kind, 0)[1][-1].timeStamp
    count = 0
    for pause in pauses:
        clock.advance(pause)
        try:
            _, samples = nvml.nvmlDeviceGetSamples(gpu, kind, last)
        except pynvml.NVMLError_NotFound:
            continue
        count, last = count + len(samples), samples[-1].timeStamp
    assert count == round((last - first) / 200_000)


@settings(max_examples=20, deadline=None)
@given(profiles, activities, waits, st.integers(10, 100))
def test_energy_grows_by_the_integral_of_power(profile: str, activity: Signal, wait: float, tenths: int) -> None:
    clock = FakeClock()
    nvml, gpu = one_gpu(profile, Load(activity), clock)
    clock.advance(round(wait, 1))
    before_mj = energy_of(nvml, gpu)
    spent_mj = 0.0
    for _ in range(2 * tenths):
        clock.advance(0.025)
        spent_mj += 0.05 * field(nvml, gpu, pynvml.NVML_FI_DEV_POWER_INSTANT)[0]
        clock.advance(0.025)
    assert energy_of(nvml, gpu) - before_mj == pytest.approx(spent_mj, rel=0.01)


def test_instant_utilization_aliases_where_the_ring_does_not() -> None:
    clock = FakeClock()
    busy_a_tenth = Steps((0.0, 0.1), (1.0, 0.0), period_s=1.0)
    nvml, gpu = one_gpu("h100-sxm", Load(busy_a_tenth), clock)
    clock.advance(0.25)
    in_step = [nvml.nvmlDeviceGetUtilizationRates(gpu).gpu]
    for _ in range(9):
        clock.advance(1.0)
        in_step.append(nvml.nvmlDeviceGetUtilizationRates(gpu).gpu)
    assert in_step == [50] * 10
    _, samples = nvml.nvmlDeviceGetSamples(gpu, pynvml.NVML_GPU_UTILIZATION_SAMPLES, 0)
    newest_five = [sample.sampleValue.uiVal for sample in samples[-5:]]
    assert sum(newest_five) / 5 == 10


def test_power_usage_of_an_h100_is_the_mean_over_a_second_and_of_others_the_present() -> None:
    clock = FakeClock()
    jump = Load(Steps((0.0, 10.0), (0.0, 1.0)))
    h100, a100 = one_gpu("h100-sxm", jump, clock), one_gpu("a100-sxm", jump, clock)
    clock.advance(10.5)
    assert h100[0].nvmlDeviceGetPowerUsage(h100[1]) == round((74134 + 667319) / 2)
    assert field(*h100, pynvml.NVML_FI_DEV_POWER_AVERAGE, pynvml.NVML_FI_DEV_POWER_INSTANT) == [370726, 667319]
    assert a100[0].nvmlDeviceGetPowerUsage(a100[1]) == 387250
