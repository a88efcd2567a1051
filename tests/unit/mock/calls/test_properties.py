"""What must hold on the mock for any load."""

import math

import pynvml
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.mock import Scenario
from exporter.mock.machine.loads import Load, replay_load
from exporter.mock.machine.signals import Constant, Signal, Steps, Wave
from exporter.mock.recordings.packaged import packaged_recording
from tests.unit.fake_clock import FakeClock
from tests.unit.mock_machines import energy_of, field, gpm, gpm_sample, one_gpu, scenario, started

ALL_LINKS = 0xFFFFFFFF
MIB = 1 << 20

levels = st.floats(0, 1)


@st.composite
def pulses(draw: st.DrawFn) -> Steps:
    lengths = draw(st.lists(st.integers(1, 50), min_size=1, max_size=6))
    starts = [0.0]
    for tenths in lengths:
        starts.append(round(starts[-1] + tenths / 10, 1))
    heights = draw(st.lists(levels, min_size=len(lengths), max_size=len(lengths)))
    return Steps(tuple(starts[:-1]), tuple(heights), starts[-1] if draw(st.booleans()) else None)


activities: st.SearchStrategy[Signal] = (
    st.builds(Constant, levels)
    | st.builds(Wave, st.floats(0, 0.5), st.floats(0.5, 1), st.floats(1, 120), st.floats(0, 120))
    | pulses()
)
profiles = st.sampled_from(["h100-sxm", "a100-sxm", "t4"])
waits = st.floats(0, 100)


@settings(max_examples=50, deadline=None)
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


@settings(max_examples=40, deadline=None)
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


@settings(deadline=None)
@given(activities, waits, st.floats(0.08, 30))
def test_gpm_gives_the_mean_between_its_samples(activity: Signal, wait: float, apart: float) -> None:
    clock = FakeClock()
    nvml, gpu = one_gpu("h100-sxm", Load(activity), clock)
    clock.advance(wait)
    older, from_s = gpm_sample(nvml, gpu), clock.monotonic() - 1000
    clock.advance(apart)
    newer, until_s = gpm_sample(nvml, gpu), clock.monotonic() - 1000
    busy = activity.integral(from_s, until_s) / (until_s - from_s)
    graphics, tensor, idle_unit = gpm(
        nvml,
        older,
        newer,
        pynvml.NVML_GPM_METRIC_GRAPHICS_UTIL,
        pynvml.NVML_GPM_METRIC_ANY_TENSOR_UTIL,
        pynvml.NVML_GPM_METRIC_FP64_UTIL,
    )
    assert graphics == pytest.approx(99.0197 * busy, abs=1e-3)
    assert tensor == pytest.approx(92.7739 * busy, abs=1e-3)
    assert idle_unit == 0


@settings(deadline=None)
@given(activities, st.floats(0, 0.049))
def test_gpm_samples_too_close_to_each_other_give_no_number(activity: Signal, apart: float) -> None:
    clock = FakeClock()
    nvml, gpu = one_gpu("h100-sxm", Load(activity), clock)
    older = gpm_sample(nvml, gpu)
    clock.advance(apart)
    assert math.isnan(gpm(nvml, older, gpm_sample(nvml, gpu), pynvml.NVML_GPM_METRIC_GRAPHICS_UTIL)[0])


@settings(deadline=None)
@given(activities, waits, st.floats(0.08, 60))
def test_link_counters_grow_by_the_integral_of_their_rates(activity: Signal, wait: float, apart: float) -> None:
    clock = FakeClock()
    nvml, gpu = one_gpu("h100-sxm", Load(activity), clock)
    counters = (
        (pynvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX, ALL_LINKS),
        (pynvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX, ALL_LINKS),
        (pynvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX, 17),
        (pynvml.NVML_FI_DEV_PCIE_COUNT_TX_BYTES, 0),
        (pynvml.NVML_FI_DEV_PCIE_COUNT_RX_BYTES, 0),
    )
    clock.advance(wait)
    before, older = field(nvml, gpu, *counters), gpm_sample(nvml, gpu)
    clock.advance(apart)
    after, newer = field(nvml, gpu, *counters), gpm_sample(nvml, gpu)
    rates = gpm(
        nvml,
        older,
        newer,
        pynvml.NVML_GPM_METRIC_NVLINK_TOTAL_TX_PER_SEC,
        pynvml.NVML_GPM_METRIC_NVLINK_TOTAL_RX_PER_SEC,
        pynvml.NVML_GPM_METRIC_NVLINK_L17_TX_PER_SEC,
        pynvml.NVML_GPM_METRIC_PCIE_TX_PER_SEC,
        pynvml.NVML_GPM_METRIC_PCIE_RX_PER_SEC,
    )
    grown = [
        (new - old) % 2**32 if number >= 3 else new - old
        for number, (old, new) in enumerate(zip(before, after, strict=True))
    ]
    units = (1024, 1024, 1024, MIB, MIB)
    expected = [rate * unit * apart for rate, unit in zip(rates, units, strict=True)]
    assert grown == [pytest.approx(growth, rel=1e-6, abs=20) for growth in expected]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 100), st.lists(st.floats(0, 20), min_size=1, max_size=5))
def test_the_same_seed_gives_the_same_series(seed: int, pauses: list[float]) -> None:
    def series() -> list[tuple[object, ...]]:
        clock = FakeClock()
        nvml = started(two_waves(seed), clock)
        gpus = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(2)]
        seen: list[tuple[object, ...]] = [(nvml.nvmlDeviceGetUUID(gpu),) for gpu in gpus]
        for pause in pauses:
            clock.advance(pause)
            seen += [(nvml.nvmlDeviceGetPowerUsage(gpu), energy_of(nvml, gpu)) for gpu in gpus]
        return seen

    assert series() == series()


def two_waves(seed: int) -> Scenario:
    wave = "{kind: wave, low_percent: 0, high_percent: 100, period_s: 60}"
    return scenario(f"seed: {seed}\ngpus: [{{profile: t4, count: 2, load: {wave}}}]")


def test_another_seed_gives_other_uuids_and_phases_and_gpus_do_not_swing_in_step() -> None:
    clock = FakeClock()
    machines = [started(two_waves(seed), clock) for seed in (1, 2)]
    gpus = [(nvml, nvml.nvmlDeviceGetHandleByIndex(index)) for nvml in machines for index in range(2)]
    clock.advance(5)
    assert len({nvml.nvmlDeviceGetUUID(gpu) for nvml, gpu in gpus}) == 4
    assert len({nvml.nvmlDeviceGetPowerUsage(gpu) for nvml, gpu in gpus}) == 4


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


def test_a_replay_gives_every_recorded_quantity_at_its_time() -> None:
    recording = packaged_recording("h100-trace")
    clock = FakeClock()
    nvml, gpu = one_gpu("h100-sxm", replay_load(recording, repeats=False), clock)
    for frame in recording.frames[::37]:
        clock.now = 1000 + frame.t_s + 1e-6
        seen = {
            "gpu_utilization_percent": nvml.nvmlDeviceGetUtilizationRates(gpu).gpu,
            "memory_utilization_percent": nvml.nvmlDeviceGetUtilizationRates(gpu).memory,
            "sm_clock_mhz": nvml.nvmlDeviceGetClockInfo(gpu, pynvml.NVML_CLOCK_SM),
            "memory_clock_mhz": nvml.nvmlDeviceGetClockInfo(gpu, pynvml.NVML_CLOCK_MEM),
            "gpu_temperature_c": nvml.nvmlDeviceGetTemperature(gpu, pynvml.NVML_TEMPERATURE_GPU),
            "memory_temperature_c": field(nvml, gpu, pynvml.NVML_FI_DEV_MEMORY_TEMP)[0],
            "memory_used_bytes": nvml.nvmlDeviceGetMemoryInfo(gpu, pynvml.nvmlMemory_v2).used,
            "power_average_mw": nvml.nvmlDeviceGetPowerUsage(gpu),
            "power_instant_mw": field(nvml, gpu, pynvml.NVML_FI_DEV_POWER_INSTANT)[0],
        }
        assert seen == {name: frame.values[name] for name in seen}


def test_a_replays_gpm_is_the_recorded_mean_and_a_missing_number_is_bridged() -> None:
    recording = packaged_recording("h100-trace")
    clock = FakeClock()
    nvml, gpu = one_gpu("h100-sxm", replay_load(recording, repeats=False), clock)
    clock.advance(12.53)
    older = gpm_sample(nvml, gpu)
    clock.advance(5)
    metrics = (pynvml.NVML_GPM_METRIC_SM_OCCUPANCY, pynvml.NVML_GPM_METRIC_DRAM_BW_UTIL)
    occupancy, dram = gpm(nvml, older, gpm_sample(nvml, gpu), *metrics)
    assert occupancy == pytest.approx(14.1, abs=0.1)
    assert dram == pytest.approx(25.5, abs=1)
    assert "gpm.DRAM_BW_UTIL" not in recording.frames[0].values
    clock.now = 1000.0
    begin = gpm_sample(nvml, gpu)
    clock.advance(0.1)
    assert gpm(nvml, begin, gpm_sample(nvml, gpu), *metrics) == [0.0, recording.series("gpm.DRAM_BW_UTIL")[1][0]]


def test_a_replay_holds_its_last_frame_or_begins_again() -> None:
    recording = packaged_recording("h100-trace")
    last, whole = recording.frames[-1], recording.frames[-1].t_s
    for repeats in (False, True):
        clock = FakeClock()
        nvml, gpu = one_gpu("h100-sxm", replay_load(recording, repeats=repeats), clock)
        clock.advance(whole + 20.01)
        clock_mhz = nvml.nvmlDeviceGetClockInfo(gpu, pynvml.NVML_CLOCK_SM)
        busy_after_all = [frame for frame in recording.frames if frame.t_s < 20][-1].values["sm_clock_mhz"]
        assert clock_mhz == (busy_after_all if repeats else last.values["sm_clock_mhz"])


@pytest.mark.parametrize("name", ["h100-idle", "h100-busy", "h100-trace"])
@pytest.mark.parametrize("repeats", [False, True])
def test_counters_of_a_replay_begin_at_the_recorded_total_and_grow_by_the_recorded_rate(
    name: str, repeats: bool
) -> None:
    recording = packaged_recording(name)
    clock = FakeClock()
    nvml, gpu = one_gpu("h100-sxm", replay_load(recording, repeats=repeats), clock)
    assert energy_of(nvml, gpu) == recording.frames[0].values["energy_mj"]
    for wait_s in (0, 100):  # within the trace, and after its end
        clock.advance(wait_s)
        before_mj, older = energy_of(nvml, gpu), gpm_sample(nvml, gpu)
        before = field(nvml, gpu, pynvml.NVML_FI_DEV_PCIE_COUNT_TX_BYTES)[0]
        spent_mj = 0.0
        for _ in range(400):
            clock.advance(0.025)
            spent_mj += 0.05 * field(nvml, gpu, pynvml.NVML_FI_DEV_POWER_INSTANT)[0]
            clock.advance(0.025)
        assert energy_of(nvml, gpu) - before_mj == pytest.approx(spent_mj, rel=0.01)
        sent = (field(nvml, gpu, pynvml.NVML_FI_DEV_PCIE_COUNT_TX_BYTES)[0] - before) % 2**32
        rate = gpm(nvml, older, gpm_sample(nvml, gpu), pynvml.NVML_GPM_METRIC_PCIE_TX_PER_SEC)[0]
        assert sent == pytest.approx(rate * MIB * 20, rel=1e-6, abs=20)
        assert spent_mj > 0


def test_a_replay_of_another_model_gives_nothing_that_the_gpu_does_not_support() -> None:
    clock = FakeClock()
    nvml, gpu = one_gpu("t4", replay_load(packaged_recording("h100-trace"), repeats=True), clock)
    clock.advance(15)
    assert nvml.nvmlDeviceGetUtilizationRates(gpu).gpu == 99
    assert nvml.nvmlDeviceGetFieldValues(gpu, [pynvml.NVML_FI_DEV_MEMORY_TEMP])[0].nvmlReturn == 3
