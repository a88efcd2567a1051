"""What docs/reaction-time.md says of measured rises, from the files in which they are kept: a table and histograms."""

import datetime as dt
import json
import os
import platform
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Self

from tests.e2e.rises import ENOUGH_PERCENT, Rise

PAGE = Path(__file__).parents[2] / "docs" / "reaction-time.md"

_BEGIN = "<!-- measured: made by `make reaction` -->"
_END = "<!-- end of measured -->"
_HPA_SYNC_S = 15
_BIN_S = 5

HOPS: dict[str, Callable[[Rise], float]] = {
    "collection": lambda rise: rise.shown_s,
    "scrape": lambda rise: rise.scraped_s - rise.shown_s,
    "adapter": lambda rise: rise.answered_s - rise.scraped_s,
    "HPA sync": lambda rise: rise.scaled_s - rise.answered_s,
}
"""How long each part of the chain took."""


@dataclass(frozen=True, slots=True)
class Setting:
    """How often the parts of the chain do their work, in seconds. The HPA's sync is Kubernetes' own: every 15 s.

    `signal_s` is of the monitor's second look at what autoscalers act on, None where it takes none. What they act on is
    the value of the moment (`is_instant`), or the mean since the last look.
    """

    name: str
    collection_s: int
    scrape_s: int
    relist_s: int
    signal_s: int | None = None
    is_instant: bool = False

    @property
    def expected_s(self) -> float:
        """What comes of the periods alone: on average half of each is left when something happens.

        A mean is high enough only once the load has been for so much of the time that it spans.
        """
        look_s = self.signal_s or self.scrape_s
        mean_s = 0.0 if self.is_instant else look_s * ENOUGH_PERCENT / 100
        return (self.collection_s + look_s + _HPA_SYNC_S) / 2 + mean_s


@dataclass(frozen=True, slots=True)
class Measured:
    """All rises of one setting, with the day and the machine."""

    setting: Setting
    date: str
    machine: str
    seed: int
    rises: Sequence[Rise]

    @classmethod
    def now(cls, setting: Setting, seed: int, rises: Sequence[Rise]) -> Self:
        """Return what was measured here and today."""
        today = dt.datetime.now(dt.UTC).date().isoformat()
        return cls(setting, today, _machine(), seed, rises)

    @classmethod
    def read(cls, setting: Setting, file: Path) -> Self:
        """Return what a file holds.

        Raises:
            ValueError: It is of another setting.
        """
        found = json.loads(file.read_text(encoding="utf-8"))
        if found["setting"] != asdict(setting):
            raise ValueError(f"{file} was measured with {found['setting']}, not with {asdict(setting)}")
        return cls(setting, found["date"], found["machine"], found["seed"], [Rise(**one) for one in found["rises"]])

    def write(self, file: Path) -> None:
        file.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @property
    def totals(self) -> list[float]:
        return [rise.scaled_s for rise in self.rises]


def written_into(page: str, measured: Sequence[Measured]) -> str:
    """Return a page with these tables and histograms in the place of those between its marks; the first is the guide's.

    Raises:
        ValueError: The page has no such marks.
    """
    before, begin, rest = page.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not end:
        raise ValueError(f"the page has no {_BEGIN} with {_END} behind it")
    made = "\n".join(_lines(measured))
    return f"{before}{begin}\n{made}\n{end}{after}"


def _lines(measured: Sequence[Measured]) -> Iterator[str]:
    first = measured[0]
    places = sorted({f"{one.date} on {one.machine}, seed {one.seed}" for one in measured})
    yield f"`make reaction`, {'; '.join(places)}.\nMedians in seconds, for each part and for the whole.\n"
    yield from _table(measured, median(first.totals))
    for one in measured:
        yield f"\n**{_title(one.setting)}**, {len(one.rises)} rises:\n```"
        yield from histogram(one.totals)
        yield "```"


def _table(measured: Sequence[Measured], guide_s: float) -> Iterator[str]:
    columns = (
        "setting",
        *HOPS,
        "**first new replica**",
        "middle half",
        "longest",
        "by the periods",
        "share of the guide's",
        "its pod ready",
    )
    yield _row(columns)
    yield _row("---" for _ in columns)
    for one in measured:
        low, middle, high = quantiles(one.totals, n=4)
        yield _row(
            (
                _title(one.setting),
                *(f"{median(map(hop, one.rises)):.1f}" for hop in HOPS.values()),
                f"**{middle:.1f}**",
                f"{low:.1f} to {high:.1f}",
                f"{max(one.totals):.1f}",
                f"{one.setting.expected_s:.1f}",
                f"{middle / guide_s:.0%}",
                f"+{median(rise.ready_s - rise.scaled_s for rise in one.rises):.1f}",
            )
        )


def histogram(seconds: Sequence[float]) -> Iterator[str]:
    """Yield a line for each five seconds up to the longest, with a block for each value."""
    for begin in range(0, int(max(seconds)) + 1, _BIN_S):
        count = sum(begin <= one < begin + _BIN_S for one in seconds)
        yield f"{begin:3} to {begin + _BIN_S:3} s {'█' * count}".rstrip()


def _title(setting: Setting) -> str:
    start = {"guide": "the guide: ", "chart": "the chart: "}.get(setting.name, "")
    signal = f", the signal every {setting.signal_s} s" if setting.signal_s else ""
    value = "instant value" if setting.is_instant else "true load"
    return f"{start}{value}, collected every {setting.collection_s} s, scraped every {setting.scrape_s} s{signal}"


def _row(cells: Sequence[str] | Iterator[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _machine() -> str:
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    system = platform.freedesktop_os_release()["PRETTY_NAME"]
    return f"{os.cpu_count()} cores ({model[1] if model else platform.machine()}), {memory_gib:.0f} GiB, {system}"
