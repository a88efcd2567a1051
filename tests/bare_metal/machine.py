"""A Debian machine to install the exporter on: a root file system of its own, with systemd as its process 1.

systemd-nspawn runs it, so that nothing in it reaches this machine's files. It has only loopback once systemd runs.
"""

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.cluster.requirements import Packages
from tests.tools.build import cache_folder, locked
from tests.waiting import PATIENCE_S, NotYet, until, wait_for


def _nspawn() -> None:
    if shutil.which("systemd-nspawn") is None:
        raise FileNotFoundError("no systemd-nspawn on the PATH")


def _mmdebstrap() -> None:
    if shutil.which("mmdebstrap") is None:
        raise FileNotFoundError("no mmdebstrap on the PATH")


PACKAGES: Packages = {"systemd-container": _nspawn, "mmdebstrap": _mmdebstrap}

INCLUDED = ("systemd", "systemd-sysv", "dbus", "ca-certificates", "curl", "openssl", "procps")
"""What a freshly installed machine has; nothing of Python's."""

_SHELL = ("/bin/bash", "-euo", "pipefail", "-c")
_NSPAWN = ("systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--console=pipe")
_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"


def new_root(suite: str, folder: Path) -> Path:
    """Return the root file system of a fresh machine of this suite of Debian; packages are fetched once."""
    kept = cache_folder() / "bare-metal" / suite
    with locked(cache_folder() / f"bare-metal-{suite}.lock"):
        if not kept.exists():
            making = kept.with_suffix(".new")
            shutil.rmtree(making, ignore_errors=True)
            making.mkdir(parents=True)
            packages = f"--include={','.join(INCLUDED)}"
            subprocess.run(["nice", "mmdebstrap", "--variant=minbase", "--quiet", packages, suite, making], check=True)
            making.rename(kept)
        root = folder / suite
        subprocess.run(["cp", "--archive", "--reflink=auto", kept, root], check=True)
    (root / "etc" / "hostname").write_text("node-1\n")
    (root / "etc" / "hosts").write_text("127.0.0.1 localhost\n127.0.1.1 node-1\n")
    return root


class Machine:
    """A machine whose systemd runs."""

    def __init__(self, process_1: int) -> None:
        self._process_1 = process_1

    def run(self, script: str) -> str:
        """Return what a script says, as root; fails where a command of it does."""
        within = ("nsenter", "--all", f"--target={self._process_1}", "--wdns=/root")
        done = subprocess.run([*within, *_SHELL, script], stdout=-1, stderr=-2, text=True, check=False)
        assert done.returncode == 0, f"{script}\nended with {done.returncode}:\n{done.stdout}"
        return done.stdout

    def says(self, script: str) -> str:
        """Return what a script says, whether or not it succeeds."""
        return self.run(f"{{ {script}\n}} 2>&1 || true").strip()

    def until(self, is_so: Callable[[], object]) -> None:
        """Wait for something, and tell the exporter's journal where it does not come."""
        until(is_so, lambda: self.says("journalctl --no-pager --unit gpu-metrics-exporter | tail -20"))


def run_before_boot(root: Path, script: str) -> str:
    """Return what a script says in the machine before it starts, with this machine's network, for downloads."""
    bound = (f"--bind-ro={_CERTIFICATES}", "--resolv-conf=bind-host", f"--setenv=PIP_CERT={_CERTIFICATES}")
    command = [*_NSPAWN, f"--directory={root}", "--as-pid2", *bound, "--chdir=/root", *_SHELL, script]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=-1, stderr=-2, text=True, check=False)
    assert done.returncode == 0, f"{script}\nended with {done.returncode}:\n{done.stdout}"
    return done.stdout


@contextmanager
def booted(root: Path) -> Iterator[Machine]:
    """Start the machine; it is shut down at the end."""
    command = (*_NSPAWN, f"--directory={root}", "--private-network", "--kill-signal=SIGRTMIN+3", "--boot")
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, stderr=sys.stderr) as nspawn:
        try:
            yield _started(nspawn)
        finally:
            nspawn.send_signal(signal.SIGTERM)
            try:
                nspawn.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                nspawn.kill()


def _started(nspawn: subprocess.Popen[bytes]) -> Machine:
    machine = Machine(wait_for("process 1 of the machine", lambda: _process_1(nspawn)))
    until(
        lambda: machine.says("systemctl is-system-running") in ("running", "degraded"),
        lambda: machine.says("systemctl list-jobs"),
        "systemd has started",
    )
    return machine


def _process_1(nspawn: subprocess.Popen[bytes]) -> int:
    """Return the process that is 1 inside; the first child of nspawn only makes it."""
    assert nspawn.poll() is None, "systemd-nspawn has ended"
    for child in Path(f"/proc/{nspawn.pid}/task/{nspawn.pid}/children").read_text().split():
        with suppress(FileNotFoundError):
            if Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
                return int(child)
    raise NotYet("no systemd yet")
