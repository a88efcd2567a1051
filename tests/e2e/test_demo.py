"""The demo as a person runs it: keys on a terminal, curl from beside it, and nothing left however it ends."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import enclosure
from tests.cluster.waiting import NotYet, wait_for
from tests.e2e.images import TREE

WITHIN_S = 180.0
STARTS = "The cluster starts"
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
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)  # enclosed, nobody may have done that yet
    found = Demo()
    yield found
    found.close()


@pytest.fixture
def enclosures_before() -> set[str]:
    return enclosures()


def enclosures() -> set[str]:
    """Return the namespaces of process ids in which something runs."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            found.add(str((process / "ns" / "pid").readlink()))
        except OSError:  # it has just ended
            continue
    return found


def must_leave_nothing(before: set[str]) -> None:
    """Wait until no process of the demo is left: they were all in a namespace of their own, or are in this one."""

    def look() -> None:
        if left := enclosures() - before:
            raise NotYet(f"processes in {', '.join(left)}")

    wait_for("the end of all processes", look, WITHIN_S)


def test_keys_and_curl_turn_the_load_replicas_follow_and_q_ends_all(enclosures_before: set[str], demo: Demo) -> None:
    url = demo.says(r"curl -d 1.8 (http\S+)")
    demo.press("9")
    demo.says("load: 1.8 GPUs")
    demo.says(r"gpu-workload-hpa +Deployment/gpu-workload +45/50( \(avg\))? +1 +4 +4 ")
    demo.press("--")
    demo.says("load: 1.6 GPUs")
    subprocess.run(["curl", "-sSf", "-m", "5", "-d", "0.3", url], check=True)
    demo.says("load: 0.3 GPUs")
    demo.says(r"gpu-workload-hpa +Deployment/gpu-workload +30/50( \(avg\))? +1 +4 +1 ")
    assert enclosures() > enclosures_before
    demo.press("q")
    assert demo.ends() == 0
    must_leave_nothing(enclosures_before)


def test_ctrl_c_in_the_middle_of_the_start_ends_all(enclosures_before: set[str], demo: Demo) -> None:
    demo.says(STARTS)
    demo.press(CTRL_C)
    assert demo.ends() == 128 + signal.SIGINT
    must_leave_nothing(enclosures_before)


def test_sigterm_in_the_middle_of_the_start_ends_all(enclosures_before: set[str], demo: Demo) -> None:
    demo.says(STARTS)
    demo.process.send_signal(signal.SIGTERM)
    assert demo.ends() == 128 + signal.SIGTERM
    must_leave_nothing(enclosures_before)
