"""The Dockerfile, carried out by buildah on a Debian root, as an archive that containerd and others import."""

import hashlib
import os
import platform
import tempfile
from collections.abc import Iterator
from pathlib import Path

from exporter import __version__
from tests.tools.build import cache_folder, locked
from tools.image.debian import DebianBase, make_root, parse_base
from tools.image.programs import NotBuilt, must_be_there, run

SOURCE = Path(__file__).parents[2]
NAME = f"localhost/gpu-metrics-exporter:{__version__}"

ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64"}
"""Debian's names of what the image can be made for, and Python's."""

_ROOT = """\
FROM scratch
ADD root.tar /
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
"""
_WHEELS = ("manylinux2014", "manylinux_2_17", "manylinux_2_27", "manylinux_2_28")
_HOST_FOLDER = "/mnt"  # it is there in every Debian, so mounting on it leaves nothing in the image


def build_image(target: Path, name: str = NAME, architecture: str = "", *, is_fresh: bool = True) -> None:
    """Write the image as an OCI archive.

    Args:
        target: The tar file.
        name: What the image is called once it is imported.
        architecture: One of ARCHITECTURES; without one this machine's.
        is_fresh: Carry out every step. Otherwise a step whose input has not changed keeps its result, and Debian's
            packages stay those of the first time.

    Raises:
        NotBuilt: Something is missing, or a step has failed.
    """
    must_be_there()
    base = parse_base((SOURCE / "Dockerfile").read_text())
    settings = (f"--build-arg=BASE={_root_image(base)}", f"--timestamp={base.epoch}", *_package_index())
    if ARCHITECTURES.get(architecture, platform.machine()) != platform.machine():
        settings += tuple(_foreign(base, architecture))
    if is_fresh:
        _buildah("rmi", "--prune")  # the steps of earlier builds
    caching = ("--layers", "--no-cache") if is_fresh else ("--layers",)
    _buildah("build", *caching, "--network=host", "--identity-label=false", *settings, f"--tag={name}", str(SOURCE))
    target.parent.mkdir(parents=True, exist_ok=True)
    written = target.with_name(f"{target.name}.new")
    _buildah("push", name, f"oci-archive:{written}:{name}")
    written.replace(target)


def cached_image() -> Path:
    """Return an archive of the image as the tree would make it now; it is built where there is none.

    Raises:
        NotBuilt: Something is missing, or a step has failed.
    """
    archive, stamp = _cache() / "image.tar", _cache() / "image.digest"
    with locked(_cache() / "image.lock"):
        digest = digest_of_inputs(SOURCE)
        if not (archive.exists() and stamp.exists() and stamp.read_text() == digest):
            stamp.unlink(missing_ok=True)
            build_image(archive, is_fresh=False)
            stamp.write_text(digest)
    return archive


def digest_of_inputs(source: Path) -> str:
    """Return what changes with the files that the image is made of, those that .dockerignore lets through, and by."""
    digest = hashlib.sha256()
    for path in _inputs(source):
        digest.update(f"{path.relative_to(source)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _inputs(source: Path) -> Iterator[Path]:
    lines = (source / ".dockerignore").read_text().splitlines()
    for name in (".dockerignore", "tools/image", *sorted(line[1:] for line in lines if line.startswith("!"))):
        found = source / name
        files = sorted(found.rglob("*")) if found.is_dir() else [found]
        yield from (path for path in files if path.is_file() and "__pycache__" not in path.parts)


def _cache() -> Path:
    folder = cache_folder() / "image"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _buildah(*arguments: str) -> str:
    storage = (f"--root={_cache()}/storage", f"--runroot={_cache()}/run")
    return run("buildah", *storage, *arguments, settings={"BUILDAH_ISOLATION": "chroot"})


def _foreign(base: DebianBase, architecture: str) -> Iterator[str]:
    """Put together what can't run here: all steps run on this machine's root, and the last stage on the other one."""
    wheels = " ".join(f"--platform={kind}_{ARCHITECTURES[architecture]}" for kind in _WHEELS)
    yield f"--build-arg=PLATFORM={wheels}"
    yield f"--build-arg=RUNTIME={_root_image(base, architecture)}"


def _root_image(base: DebianBase, foreign: str = "") -> str:
    """Return the name of the Debian root as an image; it is made once for each tag and architecture."""
    name = f"localhost/{base.tag}{foreign and f'-{foreign}'}"
    kind = (f"--arch={foreign}",) if foreign else ()
    try:
        _buildah("inspect", "--type=image", name)
    except NotBuilt:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "Dockerfile").write_text(_ROOT)
            make_root(base, Path(folder) / "root.tar", foreign)
            _buildah("build", *kind, "--identity-label=false", f"--timestamp={base.epoch}", f"--tag={name}", folder)
    return name


def _package_index() -> Iterator[str]:
    """Give pip in the build the index and the certificates that pip on this machine is told to use."""
    if index := os.environ.get("PIP_INDEX_URL"):
        yield f"--build-arg=PIP_INDEX_URL={index}"
    if certificates := os.environ.get("PIP_CERT"):
        path = Path(certificates).resolve()
        yield f"--volume={path.parent}:{_HOST_FOLDER}:ro"
        yield f"--build-arg=PIP_CERT={_HOST_FOLDER}/{path.name}"
