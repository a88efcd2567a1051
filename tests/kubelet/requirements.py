"""What the machine must have for a real kubelet, and how it gets there."""

import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.kubelet.images import find_busybox

CNI_FOLDERS = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))


class NotPossible(Exception):
    """A real kubelet can't run here; the text says why."""


def find_cni_plugins() -> Path:
    """Return the folder with the CNI plugins `bridge` and `host-local`."""
    for folder in CNI_FOLDERS:
        if (folder / "bridge").exists() and (folder / "host-local").exists():
            return folder
    raise FileNotFoundError(f"no CNI plugins bridge and host-local in {' or '.join(map(str, CNI_FOLDERS))}")


def _on_path(*programs: str) -> Callable[[], object]:
    def look() -> None:
        for program in programs:
            if shutil.which(program) is None:
                raise FileNotFoundError(f"no {program} on the PATH")

    return look


_PACKAGES: Mapping[str, Callable[[], object]] = {  # Debian's name for it: what must be found then
    "containerd": _on_path("containerd", "ctr"),
    "runc": _on_path("runc"),
    "busybox-static": find_busybox,
    "containernetworking-plugins": find_cni_plugins,
    "iproute2": _on_path("ip"),
    "openssl": _on_path("openssl"),
    "util-linux": _on_path("unshare", "setpriv"),
    "buildah": _on_path("buildah"),
    "mmdebstrap": _on_path("mmdebstrap"),
}


def require_all() -> None:
    """See that everything is there, and install what is missing where apt-get can.

    Raises:
        NotPossible: Not Linux, not root, or something is missing and can't be installed.
    """
    if platform.system() != "Linux":
        raise NotPossible("a kubelet needs Linux")
    if os.geteuid() != 0:
        raise NotPossible("kubelet and containerd need root: run `make kubelet-test` as root")
    missing = _missing()
    if missing and shutil.which("apt-get"):
        print(f"installing {' '.join(missing)}", flush=True)  # noqa: T201 - so that nobody wonders where it came from
        _install(tuple(missing))
        missing = _missing()
    if missing:
        raise NotPossible("; ".join(missing.values()))


def _missing() -> dict[str, str]:
    missing = {}
    for package, look in _PACKAGES.items():
        try:
            look()
        except FileNotFoundError as error:
            missing[package] = str(error)
    return missing


def _install(packages: tuple[str, ...]) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (("update",), ("install", "-y", "--no-install-recommends", *packages)):
        done = subprocess.run(
            ["apt-get", "-qq", *command], env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise NotPossible(f"apt-get {command[0]} failed: {done.stderr.strip()}")
