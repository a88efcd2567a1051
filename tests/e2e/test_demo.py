"""The demo as a person runs it: keys on a terminal, curl from beside it, and nothing left however it ends."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.cluster import enclosure
from tests.e2e.images import TREE
from tests.waiting import NotYet, wait_for

WITHIN_S = 180.0
STARTS = "The cluster starts"
FIRST_LINE = "gpu-workload-hpa +Deployment/gpu-workload "
CTRL_C = "\x03"
pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(not enclosure.is_inside(), reason="a cluster runs enclosed: `make e2e-full`"),
]


class Demo:
    """A demo on a terminal of its own."""

    def __init__(self) -> None:
        self._terminal, end = pty.openpty()
        command = ("setsid", "--ctty", sys.executable, "-m", "tests.e2e.demo")  # which is this process' id, too
        self.process = subprocess.Popen(command, cwd=TREE, stdin=end, stdout=end, stderr=end)
        os.close(end)
        self._said = ""

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._terminal)

    def press(self, keys: str) -> None:
        os.write(self._terminal, keys.encode())

    def says(self, pattern: str) -> str:
        """Wait until it has said something since the last time; returns the first group of it, or the whole."""

        def look() -> str:
            self._listen()
            found = re.search(pattern, self._said)
            if found is None:
                raise NotYet(self._said)
            self._said = self._said[found.end() :]
            return found[found.re.groups]

        return wait_for(f"the demo says {pattern}", look, WITHIN_S)

    def ends(self) -> int:
        """Wait for its end; returns its exit status."""

        def look() -> int:
            self._listen()
            status = self.process.poll()
            if status is None:
                raise NotYet(self._said)
            return status

        return wait_for("the demo's end", look, WITHIN_S)

    def _listen(self) -> None:
        while select.select([self._terminal], [], [], 0)[0]:
            try:
                self._said += os.read(self._terminal, 65536).decode().replace("\r", "")
            except OSError:  # its end is closed
                return


@pytest.fixture
def demo() -> Iterator[Demo]:
    found = Demo()
    yield found
    found.close()


def descendants(ancestor: int) -> set[int]:
    """Return the processes that a process has started, and those that they have, in its namespace and below."""
    parents = {}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has just ended
            parents[int(process.name)] = int((process / "stat").read_text().rpartition(") ")[2].split()[1])
    found: set[int] = set()
    while more := {pid for pid, parent in parents.items() if parent in {ancestor, *found}} - found:
        found |= more
    return found


def must_leave_nothing(started: set[int]) -> None:
    """Wait until none of these processes is left."""
    assert started

    def look() -> None:
        if left := {pid for pid in started if Path(f"/proc/{pid}").exists()}:
            raise NotYet(f"processes {left}")

    wait_for("the end of all processes", look, WITHIN_S)


def test_keys_and_curl_turn_the_load_replicas_follow_and_q_ends_all(demo: Demo) -> None:
    url = demo.says(r"curl -d 1.8 (http\S+)")
    demo.press("9")
    demo.says("load: 1.8 GPUs")
    demo.says(r"gpu-workload-hpa +Deployment/gpu-workload +45/50( \(avg\))? +1 +4 +4 ")
    demo.press("--")
    demo.says("load: 1.6 GPUs")
    subprocess.run(["curl", "-sSf", "-m", "5", "-d", "0.3", url], check=True)
    demo.says("load: 0.3 GPUs")
    demo.says(r"gpu-workload-hpa +Deployment/gpu-workload +30/50( \(avg\))? +1 +4 +1 ")
    started = descendants(demo.process.pid)
    demo.press("q")
    assert demo.ends() == 0
    must_leave_nothing(started)


@pytest.mark.parametrize("moment", [STARTS, FIRST_LINE], ids=["as it starts", "once it runs"])
def test_ctrl_c_ends_all(demo: Demo, moment: str) -> None:
    demo.says(moment)
    started = descendants(demo.process.pid)
    demo.press(CTRL_C)
    assert demo.ends() == 128 + signal.SIGINT
    must_leave_nothing(started)


@pytest.mark.parametrize("moment", [STARTS, FIRST_LINE], ids=["as it starts", "once it runs"])
def test_sigterm_ends_all(demo: Demo, moment: str) -> None:
    demo.says(moment)
    started = descendants(demo.process.pid)
    demo.process.send_signal(signal.SIGTERM)
    assert demo.ends() == 128 + signal.SIGTERM
    must_leave_nothing(started)
