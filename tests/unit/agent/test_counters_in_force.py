import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.agent.counters_in_force import CountersInForce
from exporter.counters_source import CountersFile
from tests.unit.fake_clock import FakeClock
from tests.waiting import until

UTIL, TEMP = "DCGM_FI_DEV_GPU_UTIL, gauge, Utilization.", "DCGM_FI_DEV_GPU_TEMP, gauge, Temperature."


class Followed:
    """A counters file, the counters in force, and how often they have changed."""

    def __init__(self, path: Path) -> None:
        self.file = path
        self.file.write_text(UTIL)
        self.changes = 0
        self.counters = CountersInForce(CountersFile(path), (), self._on_change, FakeClock())

    def _on_change(self) -> None:
        self.changes += 1

    @property
    def names(self) -> list[str]:
        return [counter.name for counter in self.counters.counters()]


@pytest.fixture
def followed(tmp_path: Path) -> Iterator[Followed]:
    followed = Followed(tmp_path / "counters.csv")
    followed.counters.start()
    yield followed
    followed.counters.stop()


def test_another_file_is_in_force_soon(followed: Followed) -> None:
    assert followed.names == ["DCGM_FI_DEV_GPU_UTIL"]
    followed.file.write_text(TEMP)
    until(lambda: followed.changes == 1)
    assert followed.names == ["DCGM_FI_DEV_GPU_TEMP"]


def test_bad_file_changes_nothing(followed: Followed, caplog: pytest.LogCaptureFixture) -> None:
    followed.file.write_text("NO_SUCH_FIELD, gauge, Nothing.")
    until(lambda: not followed.counters.reloaded()[0])
    assert (followed.names, followed.changes) == (["DCGM_FI_DEV_GPU_UTIL"], 0)
    until(lambda: [record.levelname for record in caplog.records if record.levelno >= logging.ERROR] == ["ERROR"])


def test_who_asks_for_it_has_the_same_file_read_again(followed: Followed) -> None:
    followed.counters.ask()
    until(lambda: followed.changes == 1)


def test_stopped_it_follows_no_more(followed: Followed) -> None:
    followed.counters.stop()
    assert "counters" not in {thread.name for thread in threading.enumerate()}
