import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pynvml
import pytest

from exporter.catalogue import CATALOGUE
from exporter.catalogue.convert import same
from exporter.catalogue.reading import Field, Tracked, Tracker
from exporter.mock import MockNvml
from exporter.model import Condition, DeviceSnapshot, GpuState, Reason
from exporter.sampling.failures import Failures
from exporter.sampling.plan import plan
from exporter.sampling.slot import ASK_AGAIN_S
from exporter.sampling.supervisor import LET_GO, Sampling, Supervisor
from exporter.settings import parse_devices
from tests.unit.fake_clock import FakeClock
from tests.unit.faulty_nvml import FaultyNvml, failing
from tests.unit.mock_machines import scenario
from tests.waiting import PATIENCE_S, until

FIELDS = {"DCGM_FI_DEV_GPU_TEMP_CELSIUS", "DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_DEV_XID_ERROR", "DCGM_FI_DEV_FB_USED"}
VERSION = "DCGM_FI_SYSTEM_DRIVER_VERSION"
SAMPLED, LOST, HANGING, STARTING = Condition.SAMPLED, Condition.LOST, Condition.HANGING, Condition.STARTING
RELEASED = Condition.RELEASED
TWO = "gpus: [{profile: h100-sxm}, {profile: h100-sxm}]"

INTERVAL_S = 0.01


class Bench:
    """A supervisor of a mock machine whose time passes only when a test says so; its threads wait for real.

    `sound` are the indices of the GPUs that time must not leave behind.
    """

    def __init__(self, machine: str, devices: str = "f") -> None:
        self.clock = FakeClock()
        self.mock = MockNvml(scenario(machine), self.clock)
        self.nvml = FaultyNvml(self.mock)
        self.failures = Failures()
        self.pci: frozenset[str] | None = frozenset({"0000:1b:00.0"})
        self.asks_mock_for_pci = False
        self.sound: tuple[int, ...] = ()
        sampling = Sampling(
            library=self.nvml,
            selections=parse_devices(devices),
            clock=self.clock,
            interval_s=INTERVAL_S,
            scan_s=5.0,
            pci_devices=lambda: self.mock.pci_devices() if self.asks_mock_for_pci else self.pci,
        )
        self.supervisor = Supervisor(sampling, plan(FIELDS, CATALOGUE), self.failures)

    def conditions(self) -> list[Condition]:
        return [state.condition for state in self.supervisor.states()]

    def state(self, index: int) -> GpuState:
        return next(state for state in self.supervisor.states() if state.index == index)

    def values(self, index: int) -> dict[str, float | str]:
        snapshot = self.state(index).snapshot
        return {} if snapshot is None else {sample.field: sample.value for sample in snapshot.samples}

    def instances(self, index: int) -> int:
        snapshot = self.state(index).snapshot
        return 0 if snapshot is None else len({sample.entity for sample in snapshot.samples})

    def start(self, *expected: Condition) -> None:
        self.supervisor.start()
        until(lambda: self.conditions() == list(expected))
        self.sound = tuple(index for index, condition in enumerate(expected) if condition is SAMPLED)

    def record(self, function: str) -> list[tuple[Any, ...]]:
        """Return a list to which the arguments of each call of a function are added from now on."""
        recorded: list[tuple[Any, ...]] = []
        real = getattr(self.mock, function)
        self.nvml.replaced[function] = lambda *args: recorded.append(args) or real(*args)  # type: ignore[func-returns-value]
        return recorded

    def pass_until(self, condition: Callable[[], bool]) -> None:
        """Let time pass, second by second, until something is so."""

        def is_so() -> bool:
            if condition():
                return True
            self.clock.advance(1.0)
            now = self.clock.now
            time.sleep(INTERVAL_S)
            until(lambda: all(self._taken(index) >= now for index in self.sound))
            return False

        until(is_so)

    def become(self, *expected: Condition) -> None:
        self.pass_until(lambda: self.conditions() == list(expected))

    def pass_scans(self, number: int) -> None:
        """Let time pass until all GPUs have been counted some times more."""
        enough = self.nvml.calls["nvmlDeviceGetCount"] + number
        self.pass_until(lambda: self.nvml.calls["nvmlDeviceGetCount"] >= enough)

    def _taken(self, index: int) -> float:
        snapshot = self.state(index).snapshot
        return 0.0 if snapshot is None else snapshot.taken


Make = Callable[..., Bench]


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[Bench] = []

    def bench(machine: str = TWO, devices: str = "f", **replaced: Callable[..., Any]) -> Bench:
        made.append(Bench(machine, devices))
        made[-1].nvml.replaced |= replaced
        return made[-1]

    yield bench
    for each in made:
        each.mock.release_hangs()
        if each.supervisor.watching():
            each.supervisor.stop()


def test_every_gpu_is_sampled_and_the_states_come_in_nvmls_order(make: Make) -> None:
    bench = make("gpus: [{profile: h100-sxm, count: 4}]")
    bench.start(*[SAMPLED] * 4)
    states = bench.supervisor.states()
    assert [state.index for state in states] == [0, 1, 2, 3]
    assert all(state.gpu and state.snapshot and state.gpu == state.snapshot.gpu for state in states)
    assert bench.supervisor.listed()
    assert bench.supervisor.trouble() == ""


@pytest.mark.parametrize("devices", ["f", "g:1", "i"])
def test_what_pods_can_be_given_is_told_whatever_is_exported(make: Make, devices: str) -> None:
    bench = make("gpus: [{profile: a100-sxm}, {profile: a100-sxm, mig: [3g.40gb, 2g.20gb]}]", devices)
    bench.supervisor.start()
    until(lambda: bool(bench.supervisor.states()))
    found = [(e.gpu.index, e.instance and e.instance.profile) for e in bench.supervisor.holdable()]
    assert found == [(0, None), (1, "3g.40gb"), (1, "2g.20gb")]


def test_a_stop_ends_all_threads_and_then_nvml(make: Make) -> None:
    bench = make()
    bench.start(SAMPLED, SAMPLED)
    bench.supervisor.stop()
    assert not bench.supervisor.watching()
    assert bench.nvml.calls["nvmlEventSetFree"] == 2
    assert bench.nvml.calls["nvmlShutdown"] == 1
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("gpu-", "look-"))]


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


def test_a_gpu_that_hangs_when_it_is_first_looked_at_keeps_no_other_one_waiting(make: Make) -> None:
    bench = make("gpus: [{profile: h100-sxm, faults: [{kind: hang, at_s: 0, for_s: 20}]}, {profile: h100-sxm}]")
    bench.supervisor.start()
    until(lambda: bench.nvml.calls["nvmlDeviceGetHandleByIndex"] == 2)
    bench.clock.advance(0.1)
    until(lambda: bench.conditions() == [STARTING, SAMPLED])
    assert bench.state(0).gpu is None
    bench.sound = (1,)
    bench.become(HANGING, SAMPLED)
    assert bench.state(0) == GpuState(0, None, HANGING, None)
    bench.pass_scans(2)
    assert [thread.name for thread in threading.enumerate()].count("look-0") == 1, "it is not looked at twice"
    bench.become(SAMPLED, SAMPLED)
    assert bench.clock.now >= 1000 + 20


def test_what_a_look_finds_after_nvml_was_ended_is_not_used(make: Make) -> None:
    bench = make("gpus: [{profile: h100-sxm, faults: [{kind: hang, at_s: 0, for_s: 20}]}, {profile: h100-sxm}]")
    bench.supervisor.start()
    bench.become(STARTING, SAMPLED)
    gone = failing(pynvml.NVML_ERROR_UNINITIALIZED)
    bench.nvml.replaced |= {"nvmlDeviceGetCount": gone, "nvmlDeviceGetTemperature": gone}
    bench.pass_until(lambda: "can't count" in bench.supervisor.trouble())
    assert bench.nvml.calls["nvmlShutdown"] == 0
    bench.pass_until(lambda: bench.nvml.calls["nvmlShutdown"] > 0)
    assert bench.clock.now >= 1000 + 20
    bench.nvml.replaced.clear()
    bench.become(SAMPLED, SAMPLED)
    assert bench.values(0).keys() == bench.values(1).keys() >= FIELDS


@pytest.mark.parametrize("function", ["nvmlDeviceGetTemperature", "nvmlDeviceGetHandleByIndex", "nvmlDeviceGetCount"])
def test_a_stop_waits_for_no_call_that_hangs_and_leaves_nvml_as_it_is(make: Make, function: str) -> None:
    bench = make()
    bench.start(SAMPLED, SAMPLED)
    bench.sound = ()
    released = threading.Event()
    hanging = threading.Event()

    def hang(*_: Any) -> Any:
        hanging.set()
        released.wait()
        raise pynvml.NVMLError(pynvml.NVML_ERROR_UNKNOWN)

    bench.nvml.replaced[function] = hang
    bench.pass_until(hanging.is_set)
    began = time.monotonic()
    bench.supervisor.stop()
    took_s = time.monotonic() - began
    released.set()
    assert took_s < 2
    assert bench.nvml.calls["nvmlShutdown"] == 0


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
    until(lambda: bool(caplog.records) and caplog.records[-1].getMessage() == "GPU 1 answers again")
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert errors == ["GPU 1 answers nothing any more: gpu_lost"]


def test_a_gpu_that_is_lost_from_the_start_is_told_once(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    bench = make("gpus: [{profile: h100-sxm}, {profile: h100-sxm, faults: [{kind: lost, at_s: 0}]}]")
    bench.start(SAMPLED, LOST)
    bench.pass_scans(3)
    assert [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR] == ["GPU 1 does not answer: gpu_lost"]


def test_texts_that_are_no_utf_8_cost_no_gpu(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    bench = make()
    bad = b"\xf8\x95 580"
    bench.nvml.replaced |= {"nvmlSystemGetDriverVersion": bad.decode, "nvmlDeviceGetName": lambda _: bad.decode()}
    bench.start(SAMPLED, SAMPLED)
    bench.pass_scans(2)
    assert [state.gpu and state.gpu.model for state in bench.supervisor.states()] == ["\ufffd\ufffd 580"] * 2
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING] == []


def test_a_count_that_can_not_be_is_told_and_costs_no_gpu_that_answers(make: Make) -> None:
    bench = make()
    bench.start(SAMPLED, SAMPLED)
    bench.nvml.replaced["nvmlDeviceGetCount"] = lambda: 0xFFFFFFFF
    bench.pass_until(lambda: bench.supervisor.trouble() == "NVML can't count the GPUs: out_of_range")
    assert bench.conditions() == [SAMPLED, SAMPLED]
    del bench.nvml.replaced["nvmlDeviceGetCount"]
    bench.pass_until(lambda: bench.supervisor.trouble() == "")


@pytest.mark.parametrize("getter", ["nvmlDeviceGetUUID", "nvmlDeviceGetMigMode"])
def test_a_gpu_whose_identity_can_not_be_read_is_lost_alone_and_does_not_hang(
    make: Make, caplog: pytest.LogCaptureFixture, getter: str
) -> None:
    """The driver may also give up on a call: that call has returned."""
    bench = make()
    real = getattr(bench.mock, getter)
    bench.mock.nvmlInit()
    second = bench.mock.nvmlDeviceGetHandleByIndex(1)

    def giving_up(handle: object) -> object:
        return real(handle) if handle != second else failing(pynvml.NVML_ERROR_TIMEOUT)()

    bench.nvml.replaced[getter] = giving_up
    bench.start(SAMPLED, LOST)
    assert not any("not return" in record.getMessage() for record in caplog.records)
    bench.nvml.replaced[getter] = lambda handle: real(handle) if handle != second else object()
    bench.pass_scans(2)
    assert bench.conditions()[0] is SAMPLED
    assert not any(record.exc_info for record in caplog.records)


def test_a_look_that_fails_without_a_loss_changes_nothing(make: Make) -> None:
    bench = make()
    bench.start(SAMPLED, SAMPLED)
    bench.nvml.replaced["nvmlDeviceGetUUID"] = failing(pynvml.NVML_ERROR_UNKNOWN)
    bench.pass_scans(3)
    assert bench.conditions() == [SAMPLED, SAMPLED]
    assert bench.nvml.calls["nvmlDeviceRegisterEvents"] == 2, "the workers are the same"


def test_a_count_that_fails_costs_no_gpu_that_answers(make: Make) -> None:
    bench = make()
    bench.start(SAMPLED, SAMPLED)
    bench.nvml.replaced["nvmlDeviceGetCount"] = failing(pynvml.NVML_ERROR_UNKNOWN)
    bench.pass_scans(3)
    assert bench.supervisor.trouble() == "NVML can't count the GPUs: unknown"
    assert bench.conditions() == [SAMPLED, SAMPLED]
    assert bench.supervisor.nvml_works(), "a GPU that is sampled shows it"
    bench.nvml.replaced.clear()
    bench.pass_until(lambda: bench.supervisor.trouble() == "")
    assert bench.nvml.calls["nvmlDeviceRegisterEvents"] == 2, "the workers are the same"


def test_when_all_gpus_are_lost_nvml_is_started_anew_ever_less_often(make: Make) -> None:
    bench = make("gpus: [{profile: h100-sxm, faults: [{kind: lost, at_s: 10}]}]")
    bench.start(SAMPLED)
    bench.sound = ()
    started: list[float] = []
    bench.nvml.replaced["nvmlInit"] = lambda: started.append(bench.clock.now) or bench.mock.nvmlInit()  # type: ignore[func-returns-value]
    bench.become(LOST)
    bench.pass_until(lambda: len(started) >= 6)
    gaps = [later - earlier for earlier, later in itertools.pairwise(started[:6])]
    assert all(gap >= least_s for gap, least_s in zip(gaps, (1, 2, 4, 8, 16), strict=True))
    assert bench.nvml.calls["nvmlShutdown"] >= 6
    bench.mock.machine.mend(bench.mock.machine.gpus[0])
    bench.become(SAMPLED)


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


def test_a_change_of_mig_that_the_driver_reports_is_looked_at_before_the_next_scan(make: Make) -> None:
    bench = make()
    bench.start(SAMPLED, SAMPLED)
    looked_at = bench.record("nvmlDeviceGetHandleByIndex")
    events = [pynvml.c_nvmlEventData_t(eventType=pynvml.nvmlEventMigConfigChange, gpuInstanceId=0xFFFFFFFF)]
    silent = failing(pynvml.NVML_ERROR_TIMEOUT)
    bench.nvml.replaced["nvmlEventSetWait_v2"] = lambda *_: events.pop() if events else silent()
    until(lambda: {(0,), (1,)} <= set(looked_at), what="no time passes, so no scan is due")


def uuids(bench: Bench) -> list[str]:
    return [state.gpu.uuid for state in bench.supervisor.states() if state.gpu]


@pytest.mark.parametrize("fault", ["", "{kind: xid, at_s: 2, code: 31}, "])
def test_a_gpu_that_is_unbound_leaves_nothing_is_bound_again_and_another_is_never_without_values(
    make: Make, fault: str
) -> None:
    """What an application did before is no reason to miss it."""
    unbound = f"{{profile: h100-sxm, faults: [{fault}{{kind: unbound, at_s: 10, until_s: 60}}]}}"
    bench = make(f"gpus: [{{profile: h100-sxm}}, {unbound}, {{profile: h100-sxm}}]")
    bench.asks_mock_for_pci = True
    bench.start(SAMPLED, SAMPLED, SAMPLED)
    first, middle, last = uuids(bench)
    bench.sound = (0,)
    has_values: list[bool] = []  # while NVML is started, and in each collection, the first ones after that included
    for function in ("nvmlInit", "nvmlDeviceGetTemperature"):
        bench.nvml.replaced[function] = watched(bench, function, has_values)

    def is_so(*expected: str) -> bool:
        return uuids(bench) == list(expected) and bench.conditions() == [SAMPLED] * len(expected)

    bench.pass_until(lambda: is_so(first, last))
    assert bench.clock.now >= 1000 + 10
    bench.pass_scans(2)
    assert uuids(bench) == [first, last]
    bench.pass_until(lambda: is_so(first, middle, last))
    assert bench.clock.now >= 1000 + 60
    assert bench.nvml.calls["nvmlInit"] == 3
    assert all(has_values)


def watched(bench: Bench, function: str, has_values: list[bool]) -> Callable[..., Any]:
    """Return a function that takes its time, and notes at each call whether GPU 0 has its values meanwhile."""

    def call(*args: Any) -> Any:
        time.sleep(2 * INTERVAL_S)
        has_values.append(bench.values(0).keys() >= FIELDS)
        return getattr(bench.mock, function)(*args)

    return call


def test_a_driver_that_is_reloaded_is_read_again_under_its_new_version(make: Make) -> None:
    bench = make(TWO + "\nfaults: [{kind: driver-reload, at_s: 10, for_s: 20, driver: '590.10'}]")
    bench.supervisor.follow(plan({*FIELDS, VERSION}, CATALOGUE))
    bench.asks_mock_for_pci = True
    bench.start(SAMPLED, SAMPLED)
    assert bench.values(0)[VERSION] == "580.159.04"
    known = uuids(bench)
    bench.sound = ()
    bench.pass_until(lambda: "kernel module is not loaded" in bench.supervisor.trouble())
    assert not bench.supervisor.nvml_works()
    bench.pass_until(lambda: all(bench.values(index).get(VERSION) == "590.10" for index in (0, 1)))
    bench.become(SAMPLED, SAMPLED)
    assert uuids(bench) == known
    assert bench.supervisor.trouble() == ""


def test_a_driver_that_was_away_for_long_is_read_as_soon_as_it_has_gpus_again(make: Make) -> None:
    away_s = 100
    bench = make(TWO + f"\nfaults: [{{kind: driver-reload, at_s: 10, for_s: {away_s}}}]")
    bench.asks_mock_for_pci = True
    bench.start(SAMPLED, SAMPLED)
    bench.sound = ()
    bench.pass_until(lambda: "kernel module is not loaded" in bench.supervisor.trouble())
    bench.pass_until(lambda: bench.clock.now > 1000 + away_s - 5)
    bench.clock.advance(1000 + 10 + away_s - bench.clock.now)
    until(lambda: bench.conditions() == [SAMPLED, SAMPLED], what="no more time passes")


def test_a_gpu_that_is_added_is_sampled(make: Make) -> None:
    bench = make("gpus: [{profile: h100-sxm}, {profile: h100-sxm, faults: [{kind: unbound, at_s: 0, until_s: 20}]}]")
    bench.asks_mock_for_pci = True
    bench.start(SAMPLED)
    bench.sound = ()
    bench.become(SAMPLED, SAMPLED)
    assert bench.clock.now >= 1000 + 20


def test_gpus_that_are_let_go_are_asked_nothing_until_they_are_taken_again(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    bench = make("gpus: [{profile: h100-sxm, faults: [{kind: xid, at_s: 2, code: 31}]}, {profile: h100-sxm}]")
    bench.start(SAMPLED, SAMPLED)
    bench.pass_until(lambda: bench.values(0)["DCGM_FI_DEV_XID_ERROR"] == 31)
    bench.sound = ()
    bench.supervisor.let_go()
    bench.become(RELEASED, RELEASED)
    let_go_at = bench.clock.now
    until(lambda: bench.nvml.calls["nvmlShutdown"] == 1)
    assert [state.snapshot for state in bench.supervisor.states()] == [None, None]
    until(lambda: bench.supervisor.trouble() == LET_GO)
    assert (bench.supervisor.has_let_go(), bench.supervisor.nvml_works()) == (True, False)
    assert bench.supervisor.holdable() == ()
    until(lambda: threads_of("gpu-0") == 0)
    assert bench.failures.totals()["all", Reason.RELEASED] == 2
    calls = bench.nvml.calls.total()
    bench.pass_until(lambda: bench.clock.now > let_go_at + 30)
    assert bench.nvml.calls.total() == calls
    assert caplog.messages.count(LET_GO) == 1
    bench.supervisor.take_again()
    bench.become(SAMPLED, SAMPLED)
    assert bench.supervisor.trouble() == ""
    assert (bench.supervisor.has_let_go(), bench.supervisor.nvml_works()) == (False, True)
    assert bench.values(0)["DCGM_FI_DEV_XID_ERROR"] == 31
    assert bench.nvml.calls["nvmlInit"] == 2


def test_gpus_are_let_go_only_when_every_call_has_returned_and_it_is_said_until_then(make: Make) -> None:
    bench = make("gpus: [{profile: h100-sxm, faults: [{kind: hang, at_s: 5, for_s: 40}]}, {profile: h100-sxm}]")
    bench.start(SAMPLED, SAMPLED)
    bench.sound = (1,)
    bench.become(HANGING, SAMPLED)
    bench.sound = ()
    bench.supervisor.let_go()
    bench.pass_until(lambda: "a call on a GPU does not return" in bench.supervisor.trouble())
    assert bench.nvml.calls["nvmlShutdown"] == 0
    bench.become(RELEASED, RELEASED)
    assert bench.supervisor.trouble() == LET_GO
    assert bench.nvml.calls["nvmlShutdown"] == 1


def test_gpus_that_are_let_go_before_they_were_found_are_found_later(make: Make) -> None:
    bench = make()
    bench.supervisor.let_go()
    bench.supervisor.start()
    until(lambda: bench.supervisor.trouble() == LET_GO)
    bench.pass_until(lambda: bench.clock.now > 1000 + 30)
    assert bench.nvml.calls.total() == 0
    bench.supervisor.take_again()
    bench.become(SAMPLED, SAMPLED)


def threads_of(name: str) -> int:
    return [thread.name for thread in threading.enumerate()].count(name)


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
    bench.pass_until(lambda: "no thread" in bench.supervisor.trouble())
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
    until(lambda: "GPU 1 answers nothing any more: unreadable" in caplog.messages)
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
    assert "GPU 0: its thread has died; another one takes its place" in caplog.messages


@pytest.mark.parametrize("function", ["nvmlInit", "nvmlDeviceGetCount"])
def test_a_call_on_nvml_as_a_whole_that_hangs_is_said_and_gpus_are_watched_meanwhile(
    make: Make, caplog: pytest.LogCaptureFixture, function: str
) -> None:
    bench = make("gpus: [{profile: h100-sxm, faults: [{kind: hang, at_s: 10}]}, {profile: h100-sxm}]")
    released, hanging = threading.Event(), threading.Event()
    real = getattr(bench.mock, function)

    def hang(*args: Any) -> Any:
        hanging.set()
        released.wait(PATIENCE_S)
        return real(*args)

    if function == "nvmlInit":
        bench.nvml.replaced[function] = hang
        bench.supervisor.start()
    else:
        bench.start(SAMPLED, SAMPLED)
        bench.sound = (1,)
        bench.nvml.replaced[function] = hang
    bench.pass_until(hanging.is_set)
    bench.pass_until(lambda: function in bench.supervisor.trouble())
    assert [m for m in caplog.messages if function in m] == [bench.supervisor.trouble()]
    if function == "nvmlDeviceGetCount":
        bench.become(HANGING, SAMPLED)
        bench.pass_until(lambda: bench.failures.totals().get(("all", Reason.TIMEOUT)) == 1)
        assert [m for m in caplog.messages if m.startswith("GPU 0")]
    released.set()
    bench.pass_until(lambda: bench.supervisor.trouble() == "")


def test_an_nvml_that_is_not_there_is_tried_again_ever_less_often_until_it_is(make: Make) -> None:
    bench = make(nvmlInit=failing(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND))
    bench.supervisor.start()
    bench.pass_until(lambda: bench.nvml.calls["nvmlInit"] >= 6)
    assert bench.clock.now - 1000 >= 1 + 2 + 4 + 8 + 16
    assert "libnvidia-ml.so.1 was not found" in bench.supervisor.trouble()
    assert not bench.supervisor.listed()
    assert bench.supervisor.watching()
    bench.nvml.replaced.clear()
    bench.become(SAMPLED, SAMPLED)
    assert bench.supervisor.listed()
    assert bench.supervisor.trouble() == ""


def test_a_machine_without_gpus_is_told_and_looked_at_again(make: Make) -> None:
    bench = make(nvmlDeviceGetCount=lambda: 0)
    bench.supervisor.start()
    until(lambda: "NVML finds no GPU" in bench.supervisor.trouble())
    assert bench.supervisor.states() == ()
    bench.nvml.replaced.clear()
    bench.become(SAMPLED, SAMPLED)


def test_a_driver_that_goes_and_comes_back_is_followed(make: Make) -> None:
    bench = make()
    bench.start(SAMPLED, SAMPLED)
    bench.sound = ()
    gone = failing(pynvml.NVML_ERROR_DRIVER_NOT_LOADED)
    bench.nvml.replaced |= dict.fromkeys(("nvmlInit", "nvmlDeviceGetCount", "nvmlDeviceGetTemperature"), gone)
    bench.pass_until(lambda: "kernel module is not loaded" in bench.supervisor.trouble())
    assert bench.conditions() == [LOST, LOST]
    bench.nvml.replaced.clear()
    bench.become(SAMPLED, SAMPLED)
    assert bench.supervisor.trouble() == ""


def test_nvml_is_not_ended_while_a_call_hangs(make: Make) -> None:
    bench = make("gpus: [{profile: h100-sxm, faults: [{kind: hang, at_s: 10}]}, {profile: h100-sxm}]")
    bench.start(SAMPLED, SAMPLED)
    bench.sound = (1,)
    bench.become(HANGING, SAMPLED)
    bench.pci = frozenset({"0000:1b:00.0", "0000:43:00.0"})
    bench.nvml.replaced["nvmlDeviceGetCount"] = failing(pynvml.NVML_ERROR_UNKNOWN)
    bench.pass_until(lambda: "can't count" in bench.supervisor.trouble())
    del bench.nvml.replaced["nvmlDeviceGetCount"]
    bench.pass_until(lambda: bench.supervisor.trouble() == "")
    bench.pass_scans(2)
    assert bench.conditions() == [HANGING, SAMPLED]
    assert bench.nvml.calls["nvmlShutdown"] == 0
    assert bench.nvml.calls["nvmlDeviceRegisterEvents"] == 2, "the sound GPU's worker goes on"
    bench.mock.release_hangs()
    bench.sound = ()
    bench.pass_until(lambda: bench.nvml.calls["nvmlShutdown"] == 1)
    bench.become(SAMPLED, SAMPLED)


def test_gpus_that_are_added_to_the_machine_are_found_by_starting_nvml_anew(make: Make) -> None:
    bench = make()
    bench.nvml.replaced["nvmlDeviceGetCount"] = lambda: bench.nvml.calls["nvmlInit"]
    bench.start(SAMPLED)
    bench.pass_scans(2)
    assert bench.conditions() == [SAMPLED]
    bench.sound = ()
    bench.pci = frozenset({"0000:1b:00.0", "0000:43:00.0"})
    bench.become(SAMPLED, SAMPLED)
    assert (bench.nvml.calls["nvmlInit"], bench.nvml.calls["nvmlShutdown"]) == (2, 1)


def test_a_list_of_the_machines_gpus_that_can_not_be_read_changes_nothing(make: Make) -> None:
    """As where no file descriptor is left: NVML that is ended then does not start again."""
    bench = make()
    bench.start(SAMPLED, SAMPLED)
    bench.pci = None
    bench.pass_scans(2)
    bench.pci = frozenset({"0000:1b:00.0"})
    bench.pass_scans(2)
    assert bench.conditions() == [SAMPLED, SAMPLED]
    assert bench.nvml.calls["nvmlShutdown"] == 0


def test_a_changed_mig_layout_gets_a_new_worker_and_other_gpus_keep_theirs(make: Make) -> None:
    bench = make("gpus: [{profile: a100-sxm, mig: [3g.40gb, 2g.20gb]}, {profile: a100-sxm, mig: [3g.40gb]}]")
    bench.start(SAMPLED, SAMPLED)
    divided = bench.nvml.nvmlDeviceGetHandleByIndex(0)
    real = bench.nvml.nvmlDeviceGetMigDeviceHandleByIndex

    def without_second(handle: Any, index: int) -> Any:
        if handle is divided and index == 1:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        return real(handle, index)

    assert bench.instances(0) == 2
    bench.nvml.replaced["nvmlDeviceGetMigDeviceHandleByIndex"] = without_second
    bench.sound = (1,)
    bench.pass_until(lambda: bench.instances(0) == 1)
    assert bench.nvml.calls["nvmlDeviceRegisterEvents"] == 3
    assert bench.nvml.calls["nvmlEventSetFree"] == 1
    assert bench.instances(1) == 1


def test_mig_devices_that_go_and_come_cost_no_other_gpu_anything(make: Make) -> None:
    fault = "{kind: mig, at_s: 20, for_s: 20, devices: [0]}"
    bench = make(f"gpus: [{{profile: a100-sxm, mig: [3g.40gb, 2g.20gb], faults: [{fault}]}}, {{profile: a100-sxm}}]")
    bench.start(SAMPLED, SAMPLED)
    assert bench.instances(0) == 2
    bench.sound = (1,)
    bench.pass_until(lambda: bench.instances(0) == 1)
    assert bench.clock.now >= 1020
    bench.pass_until(lambda: bench.instances(0) == 2)
    assert bench.clock.now >= 1040


def test_an_nvml_that_may_not_be_used_or_is_not_there_is_said_until_it_is(make: Make) -> None:
    bench = make(f"{TWO}\nfaults: [{{kind: missing, at_s: 0, until_s: 9}}, {{kind: denied, at_s: 9, until_s: 60}}]")
    bench.supervisor.start()
    bench.pass_until(lambda: "libnvidia-ml.so.1 was not found" in bench.supervisor.trouble())
    bench.pass_until(lambda: "can't be opened by this user" in bench.supervisor.trouble())
    bench.become(SAMPLED, SAMPLED)
    assert bench.supervisor.trouble() == ""


def test_an_instance_that_is_made_again_in_its_place_is_read_by_its_new_handle(make: Make) -> None:
    bench = make("gpus: [{profile: a100-sxm, mig: [3g.40gb, 2g.20gb]}]")
    bench.start(SAMPLED)
    (gpu,) = bench.mock.machine.gpus
    bench.mock.redivide(gpu, tuple(replace(instance) for instance in gpu.instances), reuses_handles=False)
    made_at = bench.clock.now
    bench.pass_until(lambda: (s := bench.state(0).snapshot) is not None and s.taken > made_at and _has_memory(s, 2))


def _has_memory(snapshot: DeviceSnapshot, entities: int) -> bool:
    return [sample.field for sample in snapshot.samples].count("DCGM_FI_DEV_FB_USED") == entities


def test_utilization_comes_back_when_mig_is_switched_off(make: Make) -> None:
    bench = make("gpus: [{profile: a100-sxm}]")
    bench.mock.machine.gpus[0].is_mig_on = True
    bench.start(SAMPLED)
    assert "DCGM_FI_DEV_GPU_UTIL" not in bench.values(0)
    bench.mock.machine.gpus[0].is_mig_on = False
    bench.pass_until(lambda: "DCGM_FI_DEV_GPU_UTIL" in bench.values(0))
    assert bench.clock.now - 1000 < ASK_AGAIN_S


def test_no_instance_is_numbered_behind_a_gpu_that_is_not_known_yet(make: Make) -> None:
    machine = """
gpus:
  - {profile: a100-sxm, mig: [3g.40gb], faults: [{kind: hang, at_s: 0, for_s: 20}]}
  - {profile: a100-sxm, mig: [2g.20gb, 1g.10gb]}
"""
    bench = make(machine, "i:1")
    bench.supervisor.start()
    bench.become(HANGING)
    assert bench.instances(0) == 0
    bench.become(SAMPLED)
    (instance,) = (entity.instance for entity in bench.state(1).entities)
    assert instance is not None
    assert instance.profile == "2g.20gb"


def test_a_loss_does_not_shift_the_numbers_of_the_instances_behind_it(make: Make) -> None:
    bench = make(
        """
gpus:
  - {profile: a100-sxm, mig: [3g.40gb, 3g.40gb], faults: [{kind: lost, at_s: 10}]}
  - {profile: a100-sxm, mig: [2g.20gb, 2g.20gb, 2g.20gb]}
""",
        "i:0,2",
    )
    bench.start(SAMPLED, SAMPLED)
    bench.sound = (1,)
    bench.become(LOST, SAMPLED)
    bench.pass_scans(2)
    assert bench.instances(1) == 1
    assert bench.nvml.calls["nvmlDeviceRegisterEvents"] == 2


@pytest.mark.parametrize(("devices", "indices"), [("g:1", [1]), ("g:1,7", [1]), ("i", [])])
def test_only_what_is_selected_has_a_state(make: Make, devices: str, indices: list[int]) -> None:
    bench = make("gpus: [{profile: h100-sxm, faults: [{kind: lost, at_s: 1}]}, {profile: h100-sxm}]", devices)
    bench.supervisor.start()
    until(bench.supervisor.listed)
    bench.pass_scans(2)
    assert [state.index for state in bench.supervisor.states()] == indices


def test_indices_that_nothing_has_are_told_once(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    bench = make(devices="g:0,7,9")
    bench.start(SAMPLED)
    bench.pass_scans(2)
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warnings == ["-d asks for indices that nothing has: 7, 9"]


def test_a_new_plan_reaches_every_worker_and_xids_are_remembered(make: Make) -> None:
    bench = make("gpus: [{profile: h100-sxm, faults: [{kind: xid, at_s: 2, code: 31}]}]")
    bench.start(SAMPLED)
    bench.pass_until(lambda: bench.values(0)["DCGM_FI_DEV_XID_ERROR"] == 31)
    bench.supervisor.follow(plan({"DCGM_FI_DEV_XID_ERROR", "DCGM_FI_DEV_SM_CLOCK"}, CATALOGUE))
    until(lambda: "DCGM_FI_DEV_SM_CLOCK" in bench.values(0))
    assert bench.values(0)["DCGM_FI_DEV_XID_ERROR"] == 31
    assert "DCGM_FI_DEV_FB_USED" not in bench.values(0)
