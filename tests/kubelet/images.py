"""Container images made from a folder, without a container engine or a registry."""

import hashlib
import io
import json
import platform
import shutil
import subprocess
import tarfile
from pathlib import Path

from tests.cluster.requirements import find_busybox

PAUSE = "registry.k8s.io/pause:3.10"
BUSYBOX = "test/busybox:1"
FOREVER = "trap 'exit 0' TERM; sleep 2147483647 & wait"
"""Runs until it is told to end, and ends at once then: a shell as first process ignores what it does not trap."""

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def make_image(names: tuple[str, ...], root: Path, target: Path) -> None:
    """Write an image of one layer, a folder's files owned by root, as the tar file that `ctr images import` reads."""
    layer = _layer(root)
    config = json.dumps(
        {
            "architecture": _ARCHITECTURES[platform.machine()],
            "os": "linux",
            "config": {"Entrypoint": ["/bin/busybox", "sh", "-c", FOREVER], "Env": ["PATH=/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
        }
    ).encode()
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = json.dumps([{"Config": config_name, "RepoTags": names, "Layers": ["layer.tar"]}]).encode()
    with tarfile.open(target, "w") as tar:
        for name, content in ((config_name, config), ("layer.tar", layer), ("manifest.json", manifest)):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))


def make_busybox_image(folder: Path) -> Path:
    """Make the one image that pods and their pause containers run: a static busybox under all its names."""
    busybox = find_busybox()
    root, target = folder / "busybox", folder / "busybox.tar"
    for name in ("bin", "tmp", "etc", "proc", "sys", "dev"):
        (root / name).mkdir(parents=True)
    shutil.copy(busybox, root / "bin" / "busybox")
    applets = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split()
    for applet in set(applets) - {"busybox"}:
        (root / "bin" / applet).symlink_to("busybox")
    make_image((PAUSE, BUSYBOX), root, target)
    return target


def _layer(root: Path) -> bytes:
    def owned_by_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = entry.mtime = 0
        entry.uname = entry.gname = ""
        return entry

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.add(root, arcname=".", filter=owned_by_root)
    return buffer.getvalue()
