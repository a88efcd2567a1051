"""How a command gets to its cluster: what is missing is installed and built, then it runs enclosed."""

import os
import platform
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.enclosure import LeftBehind, Occupied, run_enclosed
from tests.cluster.requirements import NotPossible, Packages, require
from tests.tools.build import BuildFailed, GoMissing, build
from tools.image.programs import NotBuilt

INTERRUPTED = 128 + signal.SIGINT
_FAILURES = (BuildFailed, LeftBehind, NotBuilt)
_OBSTACLES = (GoMissing, NotPossible, Occupied)


@dataclass(frozen=True, slots=True)
class Needs:
    """What has to be there before a command runs enclosed.

    Attributes:
        packages: Debian's packages.
        groups: Groups of tests/tools.
        prepare: Fetches or makes the rest; raises BuildFailed, GoMissing or NotBuilt.
        has_kubelet: Whether a real kubelet runs inside, of which a machine has one at a time.
    """

    packages: Packages
    groups: Sequence[str]
    prepare: Callable[[], object] = lambda: None
    has_kubelet: bool = False


def run_tests(what: str, folder: Path, needs: Needs) -> int:
    """Run pytest enclosed on a folder, with the arguments of this process; returns the exit status.

    Where the tests can't run it says why, and returns 0, or 1 where REQUIRE_ALL_TOOLS=1.
    """
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    began = time.monotonic()
    try:
        _get(needs)
        started = time.monotonic()
        pytest = (sys.executable, "-m", "pytest", str(folder), *sys.argv[1:])
        status = run_enclosed(pytest, has_kubelet=needs.has_kubelet)
    except _OBSTACLES as reason:
        is_required = os.environ.get("REQUIRE_ALL_TOOLS") == "1"
        _say(f"{what} {'impossible' if is_required else 'skipped'}: {reason}")
        return 1 if is_required else 0
    except _FAILURES as error:
        _say(str(error))
        return 1
    _say(f"tools: {started - began:.1f} s; from nothing to nothing: {time.monotonic() - started:.1f} s")
    return status


def run_module(module: str, needs: Needs, arguments: Sequence[str] = (), inherited: Sequence[int] = ()) -> int:
    """Run a module enclosed, with file descriptors of this process; returns its exit status.

    That is 1, with a sentence said, where it can't be run, and 130 where Ctrl-C came before it ran. SIGTERM ends it and
    all that it has started.
    """
    if platform.system() != "Linux" or os.geteuid() != 0:
        sys.stderr.write("This runs a cluster in namespaces of its own: run it on Linux, as root.\n")
        return 1
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    try:
        _get(needs)
        command = (sys.executable, "-m", module, *arguments)
        return run_enclosed(command, has_kubelet=needs.has_kubelet, inherited=inherited)
    except (*_FAILURES, *_OBSTACLES) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED


def _get(needs: Needs) -> None:
    require(needs.packages)
    build(*needs.groups)
    needs.prepare()


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - its output is what it has to tell
