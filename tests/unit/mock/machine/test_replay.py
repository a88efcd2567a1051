import pynvml
import pytest

from exporter.errors import ConfigError
from exporter.mock.machine.replay import replay_load
from exporter.mock.recordings.packaged import packaged_recording
from exporter.mock.recordings.recording import Frame, Recording
from tests.unit.fake_clock import FakeClock
from tests.unit.mock_machines import energy_of, field, gpm, gpm_sample, one_gpu

MIB = 1 << 20


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


def test_totals_of_a_replay_are_those_recorded_and_go_on_when_it_begins_again() -> None:
    recording = packaged_recording("h100-trace")
    clock = FakeClock()
    nvml, gpu = one_gpu("h100-sxm", replay_load(recording, repeats=True), clock)
    for frame in recording.frames[::20]:
        clock.now = 1000 + frame.t_s
        assert energy_of(nvml, gpu) == frame.values["energy_mj"]
    clock.advance(120)
    assert energy_of(nvml, gpu) > 2 * frame.values["energy_mj"] - recording.frames[0].values["energy_mj"]


def test_rings_and_means_of_a_replay_are_those_recorded() -> None:
    percents = (10, 90, 30, 70, 50)
    rings = {"gpu_utilization_percent": tuple((0.2 * n, percent) for n, percent in enumerate(percents, start=1))}
    frames = (
        Frame(0, {"gpu_utilization_percent": 0, "gpm.SM_UTIL": 1}),
        Frame(1, {"gpm.SM_UTIL": 42}, rings),
        Frame(2, {"gpm.SM_UTIL": 7}),
    )
    clock = FakeClock()
    nvml, gpu = one_gpu("h100-sxm", replay_load(Recording("A", "1", "2026-01-01", "It.", frames), repeats=False), clock)
    begin, began_us = gpm_sample(nvml, gpu), round(clock.time() * 1e6)
    clock.advance(1)
    _, samples = nvml.nvmlDeviceGetSamples(gpu, pynvml.NVML_GPU_UTILIZATION_SAMPLES, began_us)
    assert [sample.sampleValue.uiVal for sample in samples] == list(percents)
    assert gpm(nvml, begin, gpm_sample(nvml, gpu), pynvml.NVML_GPM_METRIC_SM_UTIL) == [42]


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


def test_a_recording_of_a_larger_gpu_fills_the_framebuffer_and_no_more() -> None:
    frames = (Frame(0, {"gpu_utilization_percent": 12, "memory_used_bytes": 10**12}),)
    load = replay_load(Recording("A", "1", "2026-01-01", "Large.", frames), repeats=True)
    nvml, gpu = one_gpu("t4", load, FakeClock())
    memory = nvml.nvmlDeviceGetMemoryInfo(gpu, pynvml.nvmlMemory_v2)
    assert (memory.free, memory.used) == (0, memory.total - memory.reserved)


def test_a_recording_without_utilization_is_no_load() -> None:
    recording = Recording("A", "1", "2026-01-01", "Dark.", (Frame(0, {"sm_clock_mhz": 12}),))
    with pytest.raises(ConfigError, match="has no gpu_utilization_percent, a load can't be made of it"):
        replay_load(recording, repeats=True)
