#!/usr/bin/env python3
"""Draw docs/true-load.svg of the table of known loads in docs/true-load.md.

A row a load: what truly ran, the busy seconds' quotient by scrapers of different paces, and between which values the
instant utilization lay. Readable on light and dark pages.

python tools/duty_plot.py
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

DOCS = Path(__file__).parents[1] / "docs"
TABLE, PLOT = DOCS / "true-load.md", DOCS / "true-load.svg"

_LEFT, _TOP, _ROW, _PER_PERCENT = 200, 78, 30, 5
_COLUMNS = 9
_STYLE = """
text { font: 13px sans-serif; fill: #24292f } .small { font-size: 12px }
.grid { stroke: #8c959f; stroke-width: 1; opacity: .35 }
.truth { stroke: #24292f; stroke-width: 2 } .mean { fill: #0969da }
.often { fill: #bc4c00; opacity: .3 } .seldom { fill: #bc4c00 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .truth { stroke: #e6edf3 } .mean { fill: #58a6ff } .often, .seldom { fill: #f0883e }
}
"""


class Load(NamedTuple):
    """One row of the table, in percent: the truth, the quotients, and the instant value at scrapes each 1 and 30 s."""

    name: str
    true: float
    means: tuple[float, ...]
    often: tuple[float, float]
    seldom: tuple[float, float]


def loads(page: str) -> Iterator[Load]:
    """Yield the loads of the table on the page."""
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == _COLUMNS and re.match(r"\d+ %", cells[0]):
            name, true, *means, _, instant = cells
            often, seldom = (tuple(map(float, part.split(" to "))) for part in instant.split(";"))
            numbers = tuple(float(one) for one in means if re.fullmatch(r"[\d.]+", one))
            yield Load(name, float(true), numbers, (often[0], often[1]), (seldom[0], seldom[1]))


def drawn(rows: list[Load]) -> str:
    """Return the plot as SVG."""
    bottom = _TOP + _ROW * len(rows)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_x(100) + 30} {bottom + 40}" role="img">',
        "<title>Known loads: the truth, the quotient of busy seconds, the instant utilization</title>",
        f"<style>{_STYLE}</style>",
        *_legend(),
        *_grid(bottom),
        *(part for number, load in enumerate(rows) for part in _row(load, _TOP + _ROW * number + _ROW // 2)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _legend() -> Iterator[str]:
    yield '<path class="truth" d="M20 14v16"/><text x="30" y="27">what ran</text>'
    yield '<circle class="mean" cx="130" cy="22" r="4"/>'
    yield '<text x="140" y="27">busy / observed seconds, by five scrapers: one dot each</text>'
    yield '<rect class="often" x="14" y="42" width="28" height="14"/>'
    yield '<text x="50" y="54">instant value, lowest to highest, scraped each 1 s</text>'
    yield '<rect class="seldom" x="394" y="47" width="28" height="4"/><text x="430" y="54">the same, each 30 s</text>'


def _grid(bottom: int) -> Iterator[str]:
    for percent in range(0, 101, 25):
        yield f'<path class="grid" d="M{_x(percent)} {_TOP}V{bottom}"/>'
        yield f'<text class="small" x="{_x(percent)}" y="{bottom + 20}" text-anchor="middle">{percent} %</text>'


def _row(load: Load, y: int) -> Iterator[str]:
    yield f'<text class="small" x="{_LEFT - 14}" y="{y + 4}" text-anchor="end">{load.name}</text>'
    yield _band("often", load.often, y, 14)
    yield _band("seldom", load.seldom, y, 4)
    yield f'<path class="truth" d="M{_x(load.true):g} {y - 11}v22"/>'
    yield from (f'<circle class="mean" cx="{_x(mean):g}" cy="{y}" r="4"/>' for mean in load.means)


def _band(kind: str, ends: tuple[float, float], y: int, height: int) -> str:
    """Return a bar between two values, and at least a visible one."""
    width = _x(ends[1]) - _x(ends[0]) + 6
    return f'<rect class="{kind}" x="{_x(ends[0]) - 3:g}" y="{y - height // 2}" width="{width:g}" height="{height}"/>'


def _x(percent: float) -> float:
    return _LEFT + round(percent * _PER_PERCENT, 1)


if __name__ == "__main__":
    PLOT.write_text(drawn(list(loads(TABLE.read_text(encoding="utf-8")))), encoding="utf-8")
