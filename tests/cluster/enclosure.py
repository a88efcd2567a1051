"""A place on this machine where a cluster can run and of which nothing is left.

What runs inside has a network, process ids and mounts of its own: only loopback, so nothing can reach the outside; and
the folders and kernel settings that kubelet and containerd write are copies in memory. When the first process inside
ends, the kernel ends all the others, containers too, and takes network and mounts away, also where tests have crashed.
Only cgroups and two empty folders are outside of that; they are removed after it.
"""

import os
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.waiting import until

INSIDE = "GPU_METRICS_EXPORTER_ENCLOSED"
FOLDER = Path("/run/cluster")
"""Where a cluster keeps its files, inside."""

_PRIVATE_FOLDERS = ("/run", "/var/log", "/var/lib/cni", "/var/lib/kubelet")
_KERNEL_SETTINGS = (  # kubelet writes them; inside, they are plain files
    "/proc/sys/vm/overcommit_memory",
    "/proc/sys/vm/panic_on_oom",
    "/proc/sys/kernel/panic",
    "/proc/sys/kernel/panic_on_oops",
    "/proc/sys/kernel/keys/root_maxkeys",
    "/proc/sys/kernel/keys/root_maxbytes",
)
_FIRST_PROCESS = f"""
ip link set lo up || exit 1
for folder in {" ".join(_PRIVATE_FOLDERS)}; do
    [ ! -d $folder ] || mount -t tmpfs -o mode=0755 cluster $folder || exit 1
done
mkdir /run/settings
for setting in {" ".join(_KERNEL_SETTINGS)}; do
    copy=/run/settings/${{setting##*/}}
    cat $setting > $copy && mount --bind $copy $setting || exit 1
done
"$@"
exit $?
"""
# The shell stays the first process: it reaps what containers leave behind, and the end of it is the end of all.
_ENCLOSE = (
    *("setpriv", "--pdeathsig", "KILL", "--"),
    *("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"),
    *("sh", "-c", _FIRST_PROCESS, "first"),
)
_CGROUPS = Path("/sys/fs/cgroup")
_CGROUP_NAMES = ("kubepods", "k8s.io")


class Occupied(Exception):
    """Something else on this machine stands where the cluster would."""


class LeftBehind(Exception):
    """Something of the cluster outlived it."""


def is_inside() -> bool:
    """Tell whether this process runs enclosed."""
    return os.environ.get(INSIDE) == "1"


def run_enclosed(argv: Sequence[str], *, has_kubelet: bool = True, inherited: Sequence[int] = ()) -> int:
    """Run a program enclosed and wait for its end; returns its exit status.

    Without a kubelet nothing is left outside, so that any number can run at a time. The program has the inherited
    file descriptors under the same numbers; a socket among them stays in the network outside.

    Raises:
        Occupied: A kubelet lives on this machine, or another run of this.
    """
    with ExitStack() as stack:
        if has_kubelet:
            stack.enter_context(_only_run())
            stack.enter_context(_only_node())
        process = subprocess.Popen(
            [*_ENCLOSE, *argv], env={**os.environ, INSIDE: "1", "KUBECACHEDIR": "/run/kube-cache"}, pass_fds=inherited
        )
        try:
            return _wait(process)
        finally:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes]) -> int:
    try:
        return process.wait()
    except KeyboardInterrupt:  # it went to the program too, which now cleans up
        return process.wait()


@contextmanager
def _only_run() -> Iterator[None]:
    with socket.socket(socket.AF_UNIX) as lock:  # a name without a file; it goes with the process
        try:
            lock.bind("\0gpu-metrics-exporter-kubelet-test")
        except OSError:
            raise Occupied("a kubelet of another run of these tests is on this machine: wait for its end") from None
        yield


@contextmanager
def _only_node() -> Iterator[None]:
    """Refuse a machine that has a kubelet; afterwards remove what ours leaves outside of its enclosure."""
    kubelet = Path("/var/lib/kubelet")
    if kubelet.is_dir() and any(kubelet.iterdir()):
        raise Occupied(f"{kubelet} is not empty: this machine is, or was, a node of a cluster")
    if left := _remove_cgroups():
        raise Occupied(f"{left} is in use: another kubelet runs on this machine, or containers that one has left")
    made = [folder for folder in map(Path, _PRIVATE_FOLDERS) if not folder.exists()]
    for folder in made:
        folder.mkdir()
    try:
        yield
    finally:
        for folder in made:
            folder.rmdir()
        _wait_until_cgroups_are_gone()


def _wait_until_cgroups_are_gone() -> None:
    try:
        until(lambda: _remove_cgroups() is None, _remove_cgroups, "the end of the cgroups of containers")
    except TimeoutError as error:
        raise LeftBehind(str(error)) from None


def _remove_cgroups() -> Path | None:
    """Remove the cgroups of pods, in each hierarchy; returns one that is in use."""
    found = [path for name in _CGROUP_NAMES for path in (*_CGROUPS.glob(name), *_CGROUPS.glob(f"*/{name}"))]
    for top in found:
        for folder, _, _ in os.walk(top, topdown=False):
            try:
                Path(folder).rmdir()
            except OSError:
                return Path(folder)
    return None
