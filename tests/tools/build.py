"""Build the real Kubernetes parts that tests run, pinned, into a cache outside the tree.

    python -m tests.tools.build              every group
    python -m tests.tools.build etcd         one of them

A binary is built again only when its group's files or the flags below have changed. Binaries and Go's own caches lie
under $GPU_METRICS_EXPORTER_TOOLS, else under $XDG_CACHE_HOME or ~/.cache; GOMODCACHE and GOCACHE are kept where they
are set. A binary that lies in the folder KUBEBUILDER_ASSETS is taken from there, as controller-runtime's envtest does.
"""

import fcntl
import hashlib
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.tools.groups import Group, UnknownGroup, default_name, read_groups

NICE = ("nice", "-n", "10")
FLAGS = ("-p", "2", "-trimpath")  # two packages at a time: a laptop stays usable
GO_SETTINGS = {"CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false -mod=readonly", "GOWORK": "off"}


class GoMissing(Exception):
    """Something has to be built, and there is no Go."""


class BuildFailed(Exception):
    """A group could not be built; Go has said why."""


def cache_folder() -> Path:
    """Return the folder for binaries and Go's caches."""
    if own := os.environ.get("GPU_METRICS_EXPORTER_TOOLS"):
        return Path(own).absolute()
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache") / "gpu-metrics-exporter" / "tools"


def build(*names: str) -> Mapping[str, Path]:
    """Return where each binary of these groups lies, all groups if none is named. What is missing is built first."""
    found: dict[str, Path] = {}
    for group in read_groups(names):
        found |= _build_group(group)
    return found


def _build_group(group: Group) -> Mapping[str, Path]:
    folder = cache_folder() / f"{group.name}-{_stamp(group)}"
    given = _given(group)
    found = given | {name: folder / name for name in group.packages if name not in given}
    with locked(cache_folder() / f"{group.name}.lock"):
        missing = [name for name, path in found.items() if not path.exists()]
        if missing:
            _compile(group, missing, folder)
        else:
            _say(f"{group.name}: already built")
    return found


def _stamp(group: Group) -> str:
    """Name what the binaries depend on. Go's version is not in it: with a filled cache no Go is needed."""
    parts = (group.digest, group.ldflags, *FLAGS, *GO_SETTINGS.values(), platform.machine())
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def _given(group: Group) -> dict[str, Path]:
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if not assets:
        return {}
    given = {name: Path(assets) / name for name in group.packages if (Path(assets) / name).exists()}
    if given:
        _say(f"{group.name}: {', '.join(given)} from KUBEBUILDER_ASSETS")
    return given


def _compile(group: Group, binaries: list[str], folder: Path) -> None:
    if shutil.which("go") is None:
        raise GoMissing(f"{', '.join(binaries)} must be built, and there is no `go` on the PATH (https://go.dev/dl)")
    _say(f"{group.name}: building {', '.join(binaries)}")
    started, cpu_s = time.monotonic(), _children_cpu_s()
    with tempfile.TemporaryDirectory(dir=cache_folder()) as temporary:
        target = ("-tags", group.tags, "-ldflags", group.ldflags, "-o", f"{temporary}/")
        packages = [group.packages[name] for name in binaries]
        done = subprocess.run(
            [*NICE, "go", "build", *FLAGS, *target, *packages], cwd=group.folder, env=go_environment(), check=False
        )
        if done.returncode:
            raise BuildFailed(f"go build failed in {group.folder} with exit status {done.returncode}")
        folder.mkdir(exist_ok=True)
        for name in binaries:
            (Path(temporary) / default_name(group.packages[name])).rename(folder / name)
    spent, cpu_s = time.monotonic() - started, _children_cpu_s() - cpu_s
    _say(f"{group.name}: built in {spent:.1f} s ({cpu_s:.0f} s of CPU), {folder}")


def go_environment() -> Mapping[str, str]:
    """Return the environment in which Go keeps everything in the cache folder."""
    go = cache_folder() / "go"
    return {"GOMODCACHE": f"{go}/mod", "GOCACHE": f"{go}/build", **os.environ, **GO_SETTINGS}


def _children_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let one process at a time build a group."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - its output is what it has to tell


def main() -> int:
    """Build the groups that the command line names; returns the exit status."""
    try:
        build(*sys.argv[1:])
    except (BuildFailed, GoMissing, UnknownGroup) as error:
        _say(f"tests/tools: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
