import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from podresources.allocations import Allocation, Allocations
from podresources.client import PodResourcesClient
from podresources.diagnosis import explain_code, unreadable_answer
from podresources.errors import PodResourcesError, SocketMissing, TimedOut
from podresources.fake_kubelet import FakeKubelet, Hang, RateLimit
from podresources.fake_pods import Container, Pod
from podresources.poller import REPEAT_S, Polled, Poller
from tests.waiting import until

SOON_S = 3.0
"""Within this time new owners must be there."""


class FakeClock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now + 1_000_000


class Script:
    """A lister that answers what it is told to, and takes its time."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.answer: Allocations | PodResourcesError = ()

    def list(self) -> Allocations:
        self.clock.now += 0.5
        if isinstance(self.answer, PodResourcesError):
            raise self.answer
        return self.answer

    def close(self) -> None:
        """Nothing is open."""


def held(pod: str) -> Allocations:
    return (Allocation("prod", pod, "main", "nvidia.com/gpu", "GPU-1"),)


def pods(name: str) -> list[Pod]:
    return [Pod("prod", name, [Container("main", {"nvidia.com/gpu": ["GPU-1"]})])]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def script(clock: FakeClock) -> Script:
    return Script(clock)


@pytest.fixture
def poller(clock: FakeClock, script: Script) -> Poller:
    return Poller(script, clock)


def test_before_the_first_poll_nothing_is_known(poller: Poller) -> None:
    assert poller.latest() == Polled((), None, None, None, None, {})


def test_an_answer_is_as_old_as_the_call_that_asked_for_it(poller: Poller, script: Script) -> None:
    script.answer = held("one")
    poller.poll()
    assert poller.latest() == Polled(held("one"), at=100, at_time=1_000_100)


def test_failures_keep_the_last_answer_and_tell_since_when_and_how_often(poller: Poller, script: Script) -> None:
    script.answer = held("one")
    poller.poll()
    first, second = TimedOut("first"), SocketMissing("second")
    for script.answer in (first, second, second):
        script.clock.now += 10
        poller.poll()
    failures = {"timed_out": 1, "socket_missing": 2}
    assert poller.latest() == Polled(held("one"), 100, 1_000_100, second, failing_since=110.5, failures=failures)


def test_a_good_answer_ends_the_failure_and_keeps_the_count(poller: Poller, script: Script) -> None:
    script.answer = TimedOut("late")
    poller.poll()
    script.answer = held("two")
    poller.poll()
    assert poller.latest() == Polled(held("two"), 100.5, 1_000_100.5, failures={"timed_out": 1})


def test_a_failure_from_the_start_has_no_answer_and_no_time(poller: Poller, script: Script) -> None:
    script.answer = error = SocketMissing("absent")
    poller.poll()
    assert poller.latest() == Polled((), None, None, error, failing_since=100, failures={"socket_missing": 1})


def test_what_a_reader_holds_does_not_change(poller: Poller, script: Script) -> None:
    script.answer = TimedOut("late")
    poller.poll()
    before = poller.latest()
    poller.poll()
    assert before.failures == {"timed_out": 1}
    with pytest.raises(TypeError):
        before.failures["timed_out"] = 5  # type: ignore[index]


def test_the_log_says_that_it_fails_in_which_ways_and_that_it_works_again(
    poller: Poller, script: Script, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    late, gone, busy = TimedOut("late"), SocketMissing("gone"), TimedOut("busy")
    for script.answer in ((), late, late, gone, gone, busy, (), (), late):
        poller.poll()
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "pod resources: late"),
        ("WARNING", "pod resources: gone"),
        ("WARNING", "pod resources: busy"),
        ("INFO", "pod resources: kubelet answers again after 3 s"),
        ("WARNING", "pod resources: late"),
    ]


def test_troubles_that_take_turns_are_named_once_a_minute(
    poller: Poller, script: Script, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(int(REPEAT_S) - 1):  # of half a second each
        for script.answer in (TimedOut("late"), SocketMissing("gone")):
            poller.poll()
    assert len(caplog.records) == 2
    for script.answer in (TimedOut("late"), SocketMissing("gone")) * 3:
        poller.poll()
    assert [record.getMessage() for record in caplog.records[2:]] == ["pod resources: late", "pod resources: gone"]


def test_what_differs_from_call_to_call_is_no_new_trouble(
    poller: Poller, script: Script, caplog: pytest.LogCaptureFixture
) -> None:
    for size in range(3):
        script.answer = unreadable_answer(Path("kubelet.sock"), size)
        poller.poll()
    for details in ("a thing", "another thing", ""):
        script.answer = explain_code(Path("kubelet.sock"), "INTERNAL", details, 2.0)
        poller.poll()
    script.answer = explain_code(Path("kubelet.sock"), "UNKNOWN", "a thing", 2.0)
    poller.poll()
    assert len(caplog.records) == 3


@contextmanager
def polling(path: Path) -> Iterator[Poller]:
    poller = Poller(PodResourcesClient(path), interval_s=0.02)
    poller.start()
    yield poller
    poller.stop()


def test_the_thread_follows_pods_and_restarts_within_three_seconds(tmp_path: Path) -> None:
    path = tmp_path / "kubelet.sock"
    with FakeKubelet(path, pods("one")) as kubelet, polling(path) as poller:
        until(lambda: poller.latest().allocations == held("one"))
        kubelet.set_pods(pods("two"))
        until(lambda: poller.latest().allocations == held("two"))
        kubelet.stop()
        until(lambda: poller.latest().error)
        assert poller.latest().allocations == held("two")
        kubelet.set_pods(pods("three"))
        kubelet.start()
        until(lambda: poller.latest().allocations == held("three"))
        assert poller.latest().error is None


def test_owners_are_never_others_than_kubelet_said_through_fifty_restarts(tmp_path: Path) -> None:
    path = tmp_path / "kubelet.sock"
    with FakeKubelet(path, pods("pod-0")) as kubelet, polling(path) as poller:
        until(lambda: poller.latest().allocations)
        for number in range(1, 51):
            kubelet.set_pods(pods(f"pod-{number}"))
            kubelet.restart()
            before, after = held(f"pod-{number - 1}"), held(f"pod-{number}")
            seen = set()

            def is_new() -> bool:
                seen.add(poller.latest().allocations)  # noqa: B023 - called in this turn alone
                return after in seen  # noqa: B023

            until(is_new)
            assert seen <= {before, after}


def test_a_rate_limited_poller_keeps_its_owners_and_recovers(tmp_path: Path) -> None:
    path = tmp_path / "kubelet.sock"
    with FakeKubelet(path, pods("one")) as kubelet, polling(path) as poller:
        until(lambda: poller.latest().allocations == held("one"))
        kubelet.set_fault(RateLimit(per_second=0, burst=0))
        until(lambda: poller.latest().failures.get("unreachable", 0) >= 2)
        assert poller.latest().allocations == held("one")
        kubelet.set_fault(None)
        until(lambda: poller.latest().error is None)


def test_a_kubelet_that_hangs_never_keeps_a_reader_waiting(tmp_path: Path) -> None:
    path = tmp_path / "kubelet.sock"
    with FakeKubelet(path, pods("one")) as kubelet, polling(path) as poller:
        until(lambda: poller.latest().allocations == held("one"))
        kubelet.set_fault(Hang())
        for _ in range(10_000):
            assert poller.latest().allocations == held("one")


def test_stopping_ends_the_thread_while_a_call_hangs_and_logs_no_failure(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "kubelet.sock"
    threads = set(threading.enumerate())
    with FakeKubelet(path) as kubelet:
        kubelet.set_fault(Hang())
        poller = Poller(PodResourcesClient(path, deadline_s=60))
        poller.start()
        (thread,) = (t for t in threading.enumerate() if t.name == "pod-resources" and t not in threads)
        time.sleep(0.05)
        poller.stop()
        assert not thread.is_alive()
    assert caplog.records == []


def test_stopping_what_never_started_is_fine(poller: Poller) -> None:
    poller.stop()
