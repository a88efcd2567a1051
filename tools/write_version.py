#!/usr/bin/env python3
"""Copy the version from exporter/__init__.py into the other files that have it: `make docs` runs this.

python -m tools.write_version
"""

import re
from collections.abc import Mapping
from pathlib import Path

from exporter import __version__

ROOT = Path(__file__).parents[1]
PLACES: Mapping[str, str] = {
    "Dockerfile": r'(?<=image\.version=")[^"]+',
    "chart/Chart.yaml": r"(?m)(?<=^version: ).+|(?<=^appVersion: ).+",
}
"""What stands for the version in which file."""


def with_version(text: str, place: str) -> str:
    """Return a file's text with this version."""
    return re.sub(PLACES[place], __version__, text)


if __name__ == "__main__":
    for name in PLACES:
        path = ROOT / name
        path.write_text(with_version(path.read_text(), name))
