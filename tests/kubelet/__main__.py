"""Run the tests of this folder on a real kubelet: `python -m tests.kubelet`, arguments are pytest's.

Installs and builds what is missing, then runs pytest enclosed, and leaves nothing behind.
"""

import os
import signal
import sys
import time
from pathlib import Path

from tests.kubelet.enclosure import LeftBehind, Occupied, run_enclosed
from tests.kubelet.exporter_image import ARCHIVE
from tests.kubelet.requirements import NotPossible, require_all
from tests.tools.build import BuildFailed, GoMissing, build
from tools.image.build import cached_image
from tools.image.programs import NotBuilt

GROUPS = ("etcd", "kubernetes", "helm")


def main() -> int:
    """Return the exit status: pytest's, or that of a machine which can't run a kubelet."""
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    try:
        require_all()
        build(*GROUPS)
        if not os.environ.get(ARCHIVE):
            _say("the exporter's image: building, where it is not there")
            os.environ[ARCHIVE] = str(cached_image())
        started = time.monotonic()
        status = run_enclosed((sys.executable, "-m", "pytest", str(Path(__file__).parent), *sys.argv[1:]))
    except (GoMissing, NotPossible, Occupied) as reason:
        return _skip(str(reason))
    except (BuildFailed, LeftBehind, NotBuilt) as error:
        _say(str(error))
        return 1
    _say(f"from nothing to nothing: {time.monotonic() - started:.1f} s")
    return status


def _skip(reason: str) -> int:
    is_required = os.environ.get("REQUIRE_ALL_TOOLS") == "1"
    _say(f"tests on a real kubelet {'impossible' if is_required else 'skipped'}: {reason}")
    return 1 if is_required else 0


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - its output is what it has to tell


if __name__ == "__main__":
    sys.exit(main())
