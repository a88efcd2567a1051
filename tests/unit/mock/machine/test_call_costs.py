import time
from pathlib import Path

import pynvml
import pytest

from exporter.mock.machine.call_costs import CallCosts, work
from exporter.mock.machine.scenario import CostPlay
from exporter.mock.recordings.recording import CallCost, Frame, Recording
from exporter.mock.recordings.recording_file import write_recording
from tests.unit.fake_clock import FakeClock
from tests.unit.mock_machines import scenario, started

COSTS = {"nvmlDeviceGetPcieThroughput": CallCost(21_000, 1_000)}


@pytest.mark.parametrize(
    ("play", "slept", "worked"),
    [(CostPlay.SLEEP, [0.021], []), (CostPlay.WORK, [0.02], [0.001]), (None, [], [])],
)
def test_a_call_takes_what_it_took_asleep_or_as_far_as_it_did_at_work(
    play: CostPlay | None, slept: list[float], worked: list[float]
) -> None:
    asleep: list[float] = []
    at_work: list[float] = []
    costs = CallCosts(COSTS, play, asleep.append, at_work.append)
    assert costs.pay("nvmlDeviceGetName") == 0
    assert costs.pay("nvmlDeviceGetPcieThroughput") == (21_000 if play else 0)
    assert asleep == pytest.approx(slept)
    assert at_work == pytest.approx(worked)


def test_work_is_time_of_the_threads_own_cpu() -> None:
    before = time.thread_time()
    work(0.002)
    assert time.thread_time() - before >= 0.002


def test_calls_of_a_scenario_take_their_time_and_field_values_tell_it(tmp_path: Path, clock: FakeClock) -> None:
    whole = {"gpu_utilization_percent": 1, "memory_used_bytes": 1, "memory_total_bytes": 9, "pci_device_id": 1}
    costs = {"nvmlDeviceGetName": CallCost(3000, 0), "NVML_FI_DEV_MEMORY_TEMP": CallCost(2000, 2000)}
    frames = (Frame(0, {**whole, "memory_temperature_c": 40}),)
    write_recording(tmp_path / "a.jsonl", Recording("A", "1", "2026-01-01", "It.", frames, costs=costs))
    nvml = started(scenario("gpus: [{recording: a.jsonl, costs: work}]", tmp_path), clock)
    gpu = nvml.nvmlDeviceGetHandleByIndex(0)
    began = time.monotonic()
    assert nvml.nvmlDeviceGetName(gpu) == "A"
    answers = nvml.nvmlDeviceGetFieldValues(gpu, [pynvml.NVML_FI_DEV_MEMORY_TEMP, pynvml.NVML_FI_DEV_ECC_CURRENT])
    assert time.monotonic() - began >= 0.005
    assert [answer.latencyUsec for answer in answers] == [2000, 0]
