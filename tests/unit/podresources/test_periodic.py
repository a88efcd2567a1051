import logging
import threading

import pytest

from podresources.periodic import Periodic
from tests.waiting import until

FAILED = "a look failed; all stays as it was"


class Looks:
    """Counts looks, and fails or hangs when it is told to."""

    def __init__(self) -> None:
        self.count = 0
        self.trouble: Exception | None = None
        self.go_on = threading.Event()
        self.go_on.set()

    def look(self) -> None:
        self.count += 1
        self.go_on.wait()
        if self.trouble is not None:
            raise self.trouble

    def more(self) -> None:
        """Wait until two more looks have been taken, of which the second began after this call."""
        enough = self.count + 2
        until(lambda: self.count >= enough)


def test_it_looks_at_once_and_again_until_it_is_stopped() -> None:
    looks = Looks()
    periodic = Periodic("looks", looks.look, 0.001, FAILED)
    assert looks.count == 0
    periodic.start()
    looks.more()
    periodic.stop()
    assert "looks" not in {thread.name for thread in threading.enumerate()}


def test_stopping_ends_the_longest_pause() -> None:
    looks = Looks()
    periodic = Periodic("looks", looks.look, 3600.0, FAILED)
    periodic.start()
    until(lambda: looks.count == 1)
    periodic.stop()
    assert "looks" not in {thread.name for thread in threading.enumerate()}


def test_stopping_interrupts_a_look_after_which_there_is_no_other() -> None:
    looks = Looks()
    looks.go_on.clear()
    periodic = Periodic("looks", looks.look, 0.0, FAILED)
    periodic.start()
    until(lambda: looks.count == 1)
    periodic.stop(interrupt=looks.go_on.set)
    assert periodic.is_stopping
    assert looks.count == 1


def test_a_look_that_hangs_does_not_keep_stop_for_ever() -> None:
    looks = Looks()
    looks.go_on.clear()
    periodic = Periodic("looks", looks.look, 0.0, FAILED)
    periodic.start()
    until(lambda: looks.count == 1)
    periodic.stop()
    assert "looks" in {thread.name for thread in threading.enumerate()}
    looks.go_on.set()


def test_looks_that_fail_are_told_once_until_one_succeeds(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    looks = Looks()
    periodic = Periodic("looks", looks.look, 0.001, FAILED)
    periodic.start()
    try:
        for round_ in (1, 2):
            looks.trouble = RuntimeError("no")
            looks.more()
            assert periodic.is_failing
            assert [record.getMessage() for record in caplog.records] == [FAILED] * round_
            looks.trouble = None
            until(lambda: not periodic.is_failing)
    finally:
        periodic.stop()
    assert all(record.exc_info is not None for record in caplog.records)


def test_looks_that_fail_in_another_way_are_told_again(caplog: pytest.LogCaptureFixture) -> None:
    looks = Looks()
    looks.trouble = KeyError("no")
    periodic = Periodic("looks", looks.look, 0.001, FAILED)
    periodic.start()
    try:
        looks.more()
        looks.trouble = OSError("no")
        looks.more()
    finally:
        periodic.stop()
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [KeyError, OSError]


def test_stopping_what_never_started_is_fine() -> None:
    Periodic("looks", Looks().look, 0.001, FAILED).stop()
