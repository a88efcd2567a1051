"""The version stands in one place, and other files follow it."""

from pathlib import Path

import pytest

from exporter import __version__
from tools.write_version import PLACES, with_version

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("place", PLACES)
def test_every_file_has_the_programs_version(place: str) -> None:
    text = (ROOT / place).read_text()
    assert __version__ in text
    assert with_version(text, place) == text, "make docs"


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("Dockerfile", 'LABEL org.opencontainers.image.version="9.9.9"'),
        ("chart/Chart.yaml", "version: 9.9.9\nappVersion: 9.9.9"),
    ],
)
def test_another_version_is_replaced(place: str, text: str) -> None:
    assert with_version(text, place) == text.replace("9.9.9", __version__)
