"""What the machine must have, as Debian's packages, and how it gets there."""

import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

CNI_FOLDERS = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))


class NotPossible(Exception):
    """A cluster can't run here; the text says why."""


def find_cni_plugins() -> Path:
    """Return the folder with the CNI plugins `bridge` and `host-local`."""
    for folder in CNI_FOLDERS:
        if (folder / "bridge").exists() and (folder / "host-local").exists():
            return folder
    raise FileNotFoundError(f"no CNI plugins bridge and host-local in {' or '.join(map(str, CNI_FOLDERS))}")


def find_busybox() -> Path:
    """Return a busybox that runs without shared libraries.

    Raises:
        FileNotFoundError: There is none on the PATH.
    """
    found = shutil.which("busybox")
    if found is None or b"/ld-" in Path(found).read_bytes()[:4096]:  # the head of a dynamic program names its loader
        raise FileNotFoundError("no statically linked busybox on the PATH")
    return Path(found)


def _on_path(*programs: str) -> Callable[[], object]:
    def look() -> None:
        for program in programs:
            if shutil.which(program) is None:
                raise FileNotFoundError(f"no {program} on the PATH")

    return look


Packages = Mapping[str, Callable[[], object]]
"""Debian's name of a package, and a look for what it brings, which raises FileNotFoundError."""

ENCLOSURE: Packages = {
    "curl": _on_path("curl"),
    "iproute2": _on_path("ip"),
    "openssl": _on_path("openssl"),
    "util-linux": _on_path("unshare", "setpriv"),
}
KUBELET: Packages = {
    "containerd": _on_path("containerd", "ctr"),
    "runc": _on_path("runc"),
    "busybox-static": find_busybox,
    "containernetworking-plugins": find_cni_plugins,
}
IMAGE: Packages = {
    "buildah": _on_path("buildah"),
    "mmdebstrap": _on_path("mmdebstrap"),
}


def require(packages: Packages) -> None:
    """See that everything is there, and install what is missing where apt-get can.

    Raises:
        NotPossible: Not Linux, not root, or something is missing and can't be installed.
    """
    if platform.system() != "Linux":
        raise NotPossible("namespaces and cgroups need Linux")
    if os.geteuid() != 0:
        raise NotPossible("namespaces of its own need root")
    missing = _missing(packages)
    if missing and shutil.which("apt-get"):
        print(f"installing {' '.join(missing)}", flush=True)  # noqa: T201 - so that nobody wonders where it came from
        _install(tuple(missing))
        missing = _missing(packages)
    if missing:
        raise NotPossible("; ".join(missing.values()))


def _missing(packages: Packages) -> dict[str, str]:
    missing = {}
    for package, look in packages.items():
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
