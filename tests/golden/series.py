"""Pages taken apart without losing what matters here: the order of series and labels, and numbers as written."""

import re
from typing import NamedTuple

_SERIES = re.compile(r"(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(?P<labels>.*)\})? (?P<value>\S+)")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')


class Series(NamedTuple):
    """One line of a page, as it is written."""

    name: str
    labels: dict[str, str]
    value: str

    @property
    def label_names(self) -> tuple[str, ...]:
        return tuple(self.labels)


def read_series(page: str) -> list[Series]:
    """Return a page's series in their order."""
    return [_read(line) for line in page.split("\n") if line and not line.startswith("#")]


def read_types(page: str) -> dict[str, str]:
    """Return the type of each metric family in their order."""
    return dict(line.split(" ")[2:4] for line in page.split("\n") if line.startswith("# TYPE "))


def of_dcgm(page: str) -> list[Series]:
    """Return the series that have DCGM's names."""
    return [series for series in read_series(page) if series.name.startswith("DCGM_")]


def _read(line: str) -> Series:
    match = _SERIES.fullmatch(line)
    assert match, line
    return Series(match["name"], dict(_LABEL.findall(match["labels"] or "")), match["value"])
