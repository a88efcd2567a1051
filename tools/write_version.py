#!/usr/bin/env python3
"""Write the version, which stands in exporter/__init__.py, where other files must have it: `make docs` does it.

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
