"""Build the container image into an archive, as root, with buildah and mmdebstrap: no daemon, no registry.

    python -m tools.image image.tar
    python -m tools.image image.tar REGISTRY/gpu-metrics-exporter:TAG
    python -m tools.image --arch arm64 image.tar

Import it with `ctr --namespace k8s.io images import image.tar`; docs/image.md has more.
"""

import argparse
import sys
from pathlib import Path

from tools.image.build import ARCHITECTURES, NAME, build_image
from tools.image.programs import NotBuilt


def main() -> int:
    """Build the image; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.image", description="Build the container image.")
    parser.add_argument("archive", type=Path, help="the tar file to write")
    parser.add_argument("name", nargs="?", default=NAME, help="what the image is called (%(default)s)")
    parser.add_argument("--arch", default="", choices=ARCHITECTURES, help="what it is for, if not for this machine")
    arguments = parser.parse_args()
    try:
        build_image(arguments.archive, arguments.name, arguments.arch)
    except NotBuilt as reason:
        sys.stderr.write(f"tools/image: {reason}\n")
        return 1
    sys.stdout.write(f"{arguments.archive}: {arguments.name}, {arguments.archive.stat().st_size / 1e6:.0f} MB\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
