"""What is recorded of a machine, and that a replay of it prints the same."""

from pathlib import Path
from typing import Any

import pynvml
import pytest

from exporter.agent.recorder import NO_CLUSTER, Recorder
from exporter.agent.timed_library import TimedLibrary
from exporter.catalogue import ANSWERED, busy_seconds
from exporter.counters import Counter, MetricType
from exporter.fields import FIELDS, FieldInfo
from exporter.mock import MockNvml, Scenario
from exporter.mock.machine.quantities import GETTERS
from exporter.mock.machine.replay import rates
from exporter.mock.recordings.recording import Recording
from exporter.mock.recordings.recording_file import render_recording, write_recording
from exporter.model import Reason
from exporter.nvml.calls import Calls
from exporter.nvml.entities import find_layout, select
from exporter.settings import DeviceKind, DeviceSelection
from tests.golden.memory_scrape import BUSY, SECOND_AT_S, Setup, scrape
from tests.golden.series import Series, read_series
from tests.unit.fake_clock import FakeClock
from tests.unit.mock_machines import scenario, started

UNTIL_S = 4


def _type(field: FieldInfo) -> MetricType:
    return MetricType.LABEL if field.value_type == "string" else MetricType.GAUGE


ALL = (
    *(Counter(name, name, FIELDS[name].id, _type(FIELDS[name]), "Help.") for name in sorted(ANSWERED)),
    *busy_seconds.series(BUSY),
)

WHO_IT_IS = {
    "DCGM_FI_DEV_GPU_UUID",
    "DCGM_FI_CUDA_GPU_VISIBLE_DEVICES",
    "DCGM_FI_DEV_PCI_BUS_ID",
    "DCGM_FI_DEV_BOARD_SERIAL",
    "DCGM_FI_DEV_FABRIC_CLUSTER_UUID",
}
"""Fields whose values are replaced."""

NO_NUMBERS = {"inforom_valid", "max_graphics_clock_mhz"}
"""A yes or no, and what no field of the catalogue asks for."""

MACHINES = {
    "trace": "gpus: [{profile: h100-sxm, load: {kind: replay, recording: h100-trace}}]",
    "links": "gpus: [{profile: h200-sxm, load: {kind: wave, period_s: 5, high_percent: 80}}]",
    "gb200": "gpus: [{profile: gb200, load: {kind: steps, steps: [{for_s: 2, percent: 0}, {for_s: 9, percent: 90}]}}]",
    "t4": "gpus: [{profile: t4, load: 30}]",
    "rtx-4090": "gpus: [{profile: rtx-4090, load: {kind: wave, period_s: 7}}]",
}


def recorder_of(machine: Scenario, clock: FakeClock, index: int = 0) -> Recorder:
    """Return a recorder of one of a machine's GPUs."""
    nvml = started(machine, clock)
    layout = find_layout(Calls(nvml), index)
    assert not isinstance(layout, Reason)
    (device,) = select({index: layout}, (DeviceSelection(DeviceKind.FLEX),)).values()
    return Recorder(TimedLibrary(nvml), device, clock, 1.0)


def recorded(machine: Scenario, index: int = 0) -> Recording:
    """Return a recording of one of a machine's GPUs, with frames when the exporter of `scrape` collects."""
    clock = FakeClock()
    recorder = recorder_of(machine, clock, index)
    for pause_s in (0, SECOND_AT_S, 1 - SECOND_AT_S, *[1] * (UNTIL_S - 1)):
        clock.advance(pause_s)
        recorder.take_frame()
    recorder.close()
    return recorder.recording("A test.")


def printed(machine: Scenario, at_s: float) -> dict[tuple[str, tuple[str, ...]], object]:
    """Return what a machine's exporter prints, but for who its GPU is; numbers as far as floats are exact."""
    page = scrape(machine, at_s, Setup(counters=ALL))
    names = {counter.name for counter in ALL}
    series = [one for one in read_series(page) if one.name in names - WHO_IT_IS]
    return {(one.name, _what(one)): pytest.approx(float(one.value), rel=1e-12, abs=1) for one in series}


def _what(series: Series) -> tuple[str, ...]:
    who = {"UUID", "pci_bus_id", "gpu_uuid", *WHO_IT_IS}
    return tuple(f"{name}={value}" for name, value in series.labels.items() if name not in who)


@pytest.mark.parametrize("name", MACHINES)
def test_a_replay_prints_what_was_printed_when_it_was_recorded(name: str, tmp_path: Path) -> None:
    machine = scenario(MACHINES[name])
    write_recording(tmp_path / "gpu.jsonl.gz", recorded(machine))
    replay = scenario("gpus: [{recording: gpu.jsonl.gz}]", tmp_path)
    assert printed(replay, UNTIL_S) == printed(machine, UNTIL_S)


def test_a_replay_of_two_gpus_prints_how_each_reaches_the_other(tmp_path: Path) -> None:
    paths = ((0, "DisabledByRegKey"), (1, "OK"))
    machine = scenario(
        f"gpus: [{{profile: h200-sxm, values: {{nvlink_p2p_status: {pynvml.NVML_P2P_STATUS_DISABLED_BY_REGKEY}}}}},"
        " {profile: h200-sxm}]"
    )
    for index, _ in paths:
        write_recording(tmp_path / f"gpu-{index}.jsonl", recorded(machine, index))
    replay = scenario("gpus: [{recording: gpu-0.jsonl}, {recording: gpu-1.jsonl}]", tmp_path)
    page = read_series(scrape(replay, 1, Setup(counters=ALL)))
    found = {(s.labels["gpu"], s.labels["link_status"]) for s in page if s.name == "DCGM_EXP_P2P_STATUS"}
    assert found == {(str(index), status) for index, status in paths}


def test_a_recording_tells_neither_who_nor_where_a_gpu_is() -> None:
    machine = scenario("seed: 3\ngpus: [{profile: gb200, load: 50}]")
    nvml = started(machine, FakeClock())
    gpu = nvml.nvmlDeviceGetHandleByIndex(0)
    secrets = {
        nvml.nvmlDeviceGetUUID(gpu),
        nvml.nvmlDeviceGetSerial(gpu),
        nvml.nvmlDeviceGetPciInfo(gpu).busId,
        machine.gpus[0].profile.texts["cluster_uuid"],
        nvml.nvmlSystemGetProcessName(1),
    }
    text = render_recording(recorded(machine))
    assert [secret for secret in secrets if str(secret) in text] == []
    assert NO_CLUSTER in text


def test_every_number_that_a_getter_answers_is_recorded_under_its_own_name() -> None:
    told = {name: float(10 + number) for number, name in enumerate(sorted(GETTERS)) if name not in NO_NUMBERS}
    values = ", ".join(f"{name}: {value}" for name, value in told.items())
    frame = recorded(scenario(f"gpus: [{{profile: gb200, values: {{{values}}}}}]")).frames[0].values
    of_links = {name: frame[f"{name}.17"] for name in told if f"{name}.17" in frame}
    assert told.items() <= {**frame, **of_links}.items()


class SlowGetters:
    """Stands where pynvml stands; a plain getter takes 10 ms of the clock in every second frame."""

    def __init__(self, nvml: MockNvml, clock: FakeClock) -> None:
        self._nvml = nvml
        self._clock = clock
        self.is_slow = True

    def __getattr__(self, name: str) -> Any:
        if self.is_slow and name.startswith("nvmlDeviceGet") and name != "nvmlDeviceGetFieldValues":
            self._clock.advance(0.01)
        return getattr(self._nvml, name)


def test_what_grows_has_its_frames_time_however_long_other_calls_take() -> None:
    clock = FakeClock()
    nvml = SlowGetters(started(scenario("gpus: [{profile: h200-sxm, load: 50}]"), clock), clock)
    layout = find_layout(Calls(nvml), 0)
    assert not isinstance(layout, Reason)
    (device,) = select({0: layout}, (DeviceSelection(DeviceKind.FLEX),)).values()
    recorder = Recorder(TimedLibrary(nvml), device, clock, 1.0)
    for _ in range(4):
        recorder.take_frame()
        nvml.is_slow = not nvml.is_slow
        clock.advance(1)
    recording = recorder.recording("A test.")
    for name in ("energy_mj", "nvlink_received_kib.17"):
        _, grown = rates(recording, name)
        assert max(grown) == pytest.approx(min(grown), rel=1e-4)


def test_a_number_that_is_none_is_not_recorded() -> None:
    clock = FakeClock()
    recorder = recorder_of(scenario("gpus: [{profile: h100-sxm, load: 50}]"), clock)
    for pause_s in (0, 0.01, 1):
        clock.advance(pause_s)
        recorder.take_frame()
    frames = recorder.recording("GPM gives NaN for samples 10 ms apart.").frames
    assert [sum(name.startswith("gpm.") for name in frame.values) > 0 for frame in frames] == [False, False, True]


def test_a_gpu_of_a_recording_follows_another_load_between_what_was_least_and_most(tmp_path: Path) -> None:
    steps = "{kind: steps, steps: [{for_s: 3, percent: 0}, {for_s: 9, percent: 100}]}"
    write_recording(tmp_path / "gpu.jsonl", recorded(scenario(f"gpus: [{{profile: l40s, load: {steps}}}]")))
    nvml = started(scenario("gpus: [{recording: gpu.jsonl, load: 50}]", tmp_path), FakeClock())
    gpu = nvml.nvmlDeviceGetHandleByIndex(0)
    assert nvml.nvmlDeviceGetTemperature(gpu, 0) == (30 + 66) // 2
    assert nvml.nvmlDeviceGetPerformanceState(gpu) == 0


def test_what_calls_cost_is_recorded_with_what_of_it_the_cpu_worked() -> None:
    costs = recorded(scenario("gpus: [{profile: t4}]")).costs
    assert {
        "nvmlDeviceGetUtilizationRates",
        "NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION",
        "nvmlDeviceGetSamples",
    } <= costs.keys()
    assert all(0 <= cost.cpu_us <= cost.us for cost in costs.values())
