"""Run the tests of this folder: `python -m tests.chart`, arguments are pytest's.

Builds and fetches what is missing, then runs pytest enclosed as `python -m tests.kubelet` does. The tests that install
the chart do it in a real cluster, which has no node, and whose network ends at loopback.
"""

import os
import signal
import sys
import time
from pathlib import Path

from tests.kubelet.enclosure import run_enclosed
from tests.kubelet.requirements import NotPossible, require_all
from tests.tools.build import BuildFailed, GoMissing, build
from tests.tools.schemas import fetch_schemas

GROUPS = ("etcd", "kubernetes", "helm", "prometheus", "adapter")
_WITH_LOOPBACK = ("sh", "-c", 'ip link set lo up && exec "$@"', "chart")


def main() -> int:
    """Return the exit status: pytest's, or that of a machine where the tests can't run."""
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    try:
        require_all()
        build(*GROUPS)
        fetch_schemas()
        started = time.monotonic()
        pytest = (sys.executable, "-m", "pytest", str(Path(__file__).parent), *sys.argv[1:])
        status = run_enclosed((*_WITH_LOOPBACK, *pytest), has_kubelet=False)
    except (GoMissing, NotPossible) as reason:
        return _skip(str(reason))
    except BuildFailed as error:
        _say(str(error))
        return 1
    _say(f"from nothing to nothing: {time.monotonic() - started:.1f} s")
    return status


def _skip(reason: str) -> int:
    is_required = os.environ.get("REQUIRE_ALL_TOOLS") == "1"
    _say(f"tests of the chart {'impossible' if is_required else 'skipped'}: {reason}")
    return 1 if is_required else 0


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - its output is what it has to tell


if __name__ == "__main__":
    sys.exit(main())
