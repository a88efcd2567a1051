"""A worker for each GPU: one that hangs, is lost, fails or dies harms no other, and an Xid outlives it."""

import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest

from exporter.catalogue import CATALOGUE
from exporter.catalogue.convert import same
from exporter.catalogue.reading import Field, Tracked, Tracker
from exporter.model import Reason
from exporter.sampling.plan import plan
from tests.unit.sampling.supervisor_bench import FIELDS, HANGING, LOST, SAMPLED, Make, threads_of
from tests.waiting import PATIENCE_S, until


def test_a_gpu_that_hangs_costs_its_own_series_and_is_back_when_the_call_returns(make: Make) -> None:
    fault = "{kind: hang, at_s: 10, for_s: 30, functions: [nvmlDeviceGetTemperature]}"
    bench = make(f"gpus: [{{profile: h100-sxm, faults: [{fault}]}}, {{profile: h100-sxm}}]")
    bench.start(SAMPLED, SAMPLED)
    bench.sound = (1,)
    bench.become(HANGING, SAMPLED)
    hung, sound = bench.state(0).snapshot, bench.state(1).snapshot
    assert hung is not None
    assert sound is not None
    assert hung.expires <= bench.clock.now, "its series have ended"
    assert sound.taken == bench.clock.now, "the other one goes on at full rate"
    bench.pass_scans(2)
    looked_at = bench.record("nvmlDeviceGetHandleByIndex")
    bench.pass_scans(3)
    assert bench.conditions() == [HANGING, SAMPLED]
    assert set(looked_at) == {(1,)}, "only the other one is looked at"
    assert bench.failures.totals()["all", Reason.TIMEOUT] == 1
    bench.become(SAMPLED, SAMPLED)
    assert bench.clock.now >= 1000 + 40
    assert (bench.nvml.calls["nvmlInit"], bench.nvml.calls["nvmlDeviceRegisterEvents"]) == (1, 2)


def test_a_lost_gpu_is_lost_alone_and_goes_on_as_the_same_when_it_is_back(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    faults = "[{kind: xid, at_s: 5, code: 79}, {kind: lost, at_s: 10, until_s: 40}]"
    bench = make(f"gpus: [{{profile: h100-sxm}}, {{profile: h100-sxm, faults: {faults}}}]")
    bench.start(SAMPLED, SAMPLED)
    caplog.set_level(logging.INFO)
    known = bench.state(1).gpu
    bench.sound = (0,)
    bench.become(SAMPLED, LOST)
    bench.pass_scans(3)
    lost = bench.state(1)
    assert (lost.gpu, lost.condition) == (known, LOST)
    assert bench.values(1)["DCGM_FI_DEV_XID_ERROR"] == 79, "why it is lost can be scraped as long as it is"
    assert "DCGM_FI_DEV_GPU_TEMP_CELSIUS" not in bench.values(1)
    bench.become(SAMPLED, SAMPLED)
    assert bench.values(1)["DCGM_FI_DEV_XID_ERROR"] == 79
    assert bench.nvml.calls["nvmlInit"] == 1, "NVML is not started anew while others answer"
    until(lambda: bool(caplog.records) and caplog.records[-1].getMessage() == "GPU 1 is responding again")
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert errors == ["GPU 1 is not responding: gpu_lost"]


def test_the_xid_that_took_the_last_gpu_away_stays_while_nvml_is_started_anew_and_after_the_gpu_is_back(
    make: Make,
) -> None:
    faults = "[{kind: xid, at_s: 8, code: 79}, {kind: lost, at_s: 10, until_s: 60}]"
    bench = make(f"gpus: [{{profile: h100-sxm, faults: {faults}}}]")
    bench.start(SAMPLED)
    bench.sound = ()
    bench.become(LOST)
    known = bench.state(0).gpu

    def is_told() -> bool:
        snapshot = bench.state(0).snapshot
        assert snapshot is not None
        assert snapshot.expires > bench.clock.now
        assert bench.values(0)["DCGM_FI_DEV_XID_ERROR"] == 79
        assert {sample.entity.gpu for sample in snapshot.samples} == {known}
        return bench.nvml.calls["nvmlInit"] >= 5

    bench.pass_until(is_told)
    assert "DCGM_FI_DEV_GPU_TEMP_CELSIUS" not in bench.values(0)
    bench.become(SAMPLED)
    assert bench.values(0)["DCGM_FI_DEV_XID_ERROR"] == 79


def test_the_xid_of_a_gpu_that_left_the_machine_stays_under_its_uuid(make: Make) -> None:
    faults = "[{kind: xid, at_s: 2, code: 79}, {kind: lost, at_s: 4}]"
    bench = make(f"gpus: [{{profile: h100-sxm, faults: {faults}}}, {{profile: h100-sxm}}]")
    bench.start(SAMPLED, SAMPLED)
    bench.sound = (1,)
    bench.become(LOST, SAMPLED)
    gone, left = bench.state(0).gpu, bench.state(1).gpu
    bench.sound = ()
    by_index = bench.mock.nvmlDeviceGetHandleByIndex
    bench.nvml.replaced |= {
        "nvmlDeviceGetCount": lambda: 1,
        "nvmlDeviceGetHandleByIndex": lambda index: by_index(index + 1),
    }
    bench.pci = frozenset()
    bench.become(SAMPLED, LOST)
    assert left is not None
    assert gone is not None
    assert [state.gpu and state.gpu.uuid for state in bench.supervisor.states()] == [left.uuid, gone.uuid]
    assert bench.values(1)["DCGM_FI_DEV_XID_ERROR"] == 79
    assert bench.values(0)["DCGM_FI_DEV_XID_ERROR"] == 0
    bench.nvml.replaced.clear()
    bench.mock.machine.mend(bench.mock.machine.gpus[0])
    bench.pci = frozenset({"0000:1b:00.0"})
    bench.become(SAMPLED, SAMPLED)
    assert bench.state(0).gpu == gone
    assert [bench.values(index)["DCGM_FI_DEV_XID_ERROR"] for index in (0, 1)] == [79, 0]


def test_a_gpu_that_is_taken_out_of_the_machine_in_good_health_leaves_nothing(make: Make) -> None:
    bench = make("gpus: [{profile: h100-sxm}, {profile: h100-sxm, faults: [{kind: xid, at_s: 2, code: 31}]}]")
    bench.start(SAMPLED, SAMPLED)
    bench.pass_until(lambda: bench.values(1)["DCGM_FI_DEV_XID_ERROR"] == 31)
    bench.sound = ()
    bench.nvml.replaced["nvmlDeviceGetCount"] = lambda: 1
    bench.pci = frozenset()
    bench.become(SAMPLED)


@pytest.mark.parametrize("is_looked_at", [True, False])
def test_a_thread_that_can_not_be_started_is_tried_again_and_no_gpu_gets_two(
    make: Make,
    no_threads: Callable[[], None],
    is_looked_at: bool,
) -> None:
    """First all GPUs are known when threads end, then none has been looked at."""
    held, may_go = threading.Semaphore(0), threading.Event()
    bench = make("gpus: [{profile: h100-sxm, count: 3}]")
    real = getattr(bench.mock, "nvmlDeviceGetUUID" if is_looked_at else "nvmlDeviceGetCount")

    def wait(*args: Any) -> Any:
        held.release()
        may_go.wait(PATIENCE_S)
        return real(*args)

    bench.nvml.replaced["nvmlDeviceGetUUID" if is_looked_at else "nvmlDeviceGetCount"] = wait
    bench.supervisor.start()
    for _ in range(3 if is_looked_at else 1):
        assert held.acquire(timeout=PATIENCE_S)
    no_threads()
    may_go.set()
    bench.pass_until(lambda: "can't start a thread" in bench.supervisor.trouble())
    assert bench.supervisor.watching()
    assert bench.supervisor.nvml_works(), "NVML has no part in a limit of processes"
    assert SAMPLED not in bench.conditions()
    threading.stack_size(0)
    bench.become(SAMPLED, SAMPLED, SAMPLED)
    assert bench.supervisor.trouble() == ""
    assert [threads_of(f"gpu-{index}") for index in range(3)] == [1, 1, 1]


def test_a_gpu_of_which_no_collection_succeeds_is_lost_and_does_not_hang(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """A rate of no counters is a mistake of a catalogue's; nobody foresees all of them."""
    bench = make()
    bench.start(SAMPLED, SAMPLED)
    bench.sound = ()
    mistaken = Tracked(Tracker.RATES, (), (Field("MISTAKEN", same),))
    bench.supervisor.follow(plan({"MISTAKEN"}, (mistaken,)))
    until(lambda: sum("a collection failed" in message for message in caplog.messages) == 2)
    bench.become(LOST, LOST)
    until(lambda: "GPU 1 is not responding: unreadable" in caplog.messages)
    assert not any("not return" in message for message in caplog.messages)
    bench.supervisor.follow(plan(FIELDS, CATALOGUE))
    bench.become(SAMPLED, SAMPLED)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_worker_whose_thread_died_is_replaced(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    bench = make()
    bench.start(SAMPLED, SAMPLED)
    bench.sound = (1,)
    died = bench.state(0).snapshot
    real = bench.mock.nvmlDeviceGetTemperature
    dying = iter([True])

    def die(handle: Any, *args: Any) -> Any:
        if threading.current_thread().name == "gpu-0" and next(dying, False):
            raise SystemExit
        return real(handle, *args)

    bench.nvml.replaced["nvmlDeviceGetTemperature"] = die
    until(lambda: threads_of("gpu-0") == 0 or bench.nvml.calls["nvmlDeviceRegisterEvents"] == 3)
    bench.pass_until(lambda: bench.nvml.calls["nvmlDeviceRegisterEvents"] == 3)
    bench.become(SAMPLED, SAMPLED)
    assert died is not None
    bench.pass_until(lambda: (newest := bench.state(0).snapshot) is not None and newest.taken > died.taken)
    assert threads_of("gpu-0") == 1
    assert "GPU 0: its thread has died; starting another one" in caplog.messages
