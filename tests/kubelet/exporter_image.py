"""The exporter's own image: how a real node gets it."""

import os
import re
import subprocess
from pathlib import Path

from tests.kubelet.configuration import CONTAINERD_SOCKET
from tools.image.build import cached_image

ARCHIVE = "GPU_METRICS_EXPORTER_IMAGE"
"""The variable that names the archive of an image to test; without it the tree's own is built."""

_IMAGES = ("ctr", "--address", CONTAINERD_SOCKET, "--namespace", "k8s.io", "images")


def provide_archive() -> None:
    """Build the archive where none is named, and name it to the programs that are started from now on.

    Raises:
        NotBuilt: Something is missing, or a step has failed.
    """
    if not os.environ.get(ARCHIVE):
        print("the exporter's image: building, where it is not there", flush=True)  # noqa: T201 - it takes minutes
        os.environ[ARCHIVE] = str(cached_image())


def archive() -> Path:
    """Return the archive that is to be tested."""
    return Path(os.environ[ARCHIVE])


def import_image(archive: Path) -> str:
    """Give a node's containerd an image; returns the name by which pods ask for it."""
    done = subprocess.run([*_IMAGES, "import", str(archive)], capture_output=True, text=True, check=True)
    [name] = re.findall(r"^unpacking (\S+) ", done.stdout, re.MULTILINE)
    return str(name)


def name_image(image: str, name: str) -> None:
    """Let pods ask for an image of a node by another name, too."""
    full = name if "/" in name else f"docker.io/library/{name}"
    subprocess.run([*_IMAGES, "tag", image, full], capture_output=True, check=True)
