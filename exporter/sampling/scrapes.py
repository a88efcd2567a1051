"""When scrapes come: each scraper's rhythm, learnt from three that lie equally far apart, and the next one.

Pure logic on the times that it is told. The server's thread tells them, the workers' threads ask.
"""

import math
from bisect import bisect_left
from collections.abc import Iterator
from typing import NamedTuple

Fields = frozenset[str]

TOLERANCE_S = 0.1
"""How much earlier or later than expected a scrape may come. Prometheus is regular to some milliseconds."""

SHORTEST_INTERVAL_S, LONGEST_INTERVAL_S = 0.5, 300.0
"""Others are not learnt; to Prometheus a series is stale after the longest."""

SHOWS, SURE = 3, 4
"""How many scrapes at equal distances show a rhythm, and how many leave no doubt, where there are several scrapers."""

LOST = 4
"""After so many intervals without a scrape a rhythm is forgotten."""

SMOOTHING = 8
"""One over the part that a single scrape has in its rhythm's interval."""

KEPT_TIMES = 256
KEPT_CHOICES = 8


class Rhythm(NamedTuple):
    """Scrapes that come each `interval_s`; the newest came at `last`, so many intervals after the one before."""

    last: float
    interval_s: float
    stride: int = 1

    def expected(self, since: float) -> float:
        """Return when the first scrape behind the last one is due that is not due before a moment."""
        return self.last + self._intervals(since) * self.interval_s

    def _intervals(self, until: float) -> int:
        return max(1, math.ceil((until - self.last) / self.interval_s))

    def has_stopped(self, now: float) -> bool:
        """Say whether too many scrapes have not come."""
        return now > self.last + LOST * self.interval_s + TOLERANCE_S

    def after(self, at: float) -> "Rhythm | None":
        """Return the rhythm continued by a scrape, or None if that does not belong to it.

        One lost scrape changes nothing; of two gaps of equal length the interval is another one.
        """
        stride = self._intervals(at - TOLERANCE_S)
        if abs(self.last + stride * self.interval_s - at) > TOLERANCE_S:
            return None
        if stride != self.stride:
            return Rhythm(at, self.interval_s, stride)
        since_s = at - self.last
        return Rhythm(at, self.interval_s + (since_s - self.interval_s) / SMOOTHING if stride == 1 else since_s)

    def foresees(self, other: "Rhythm") -> bool:
        """Say whether this expects each scrape that another one of the same last scrape does."""
        times = round(other.interval_s / self.interval_s)
        return abs(times * self.interval_s - other.interval_s) <= TOLERANCE_S


class _ScrapeTimes:
    """Scrapes that ask for the same, of however many scrapers.

    Attributes:
        rhythms: Those that are known. Replaced as a whole, for the threads that read it.
        newest: When the newest scrape came.
    """

    def __init__(self) -> None:
        self.rhythms: tuple[Rhythm, ...] = ()
        self.newest = -math.inf
        self._times: list[float] = []
        self._unexpected: list[float] = []

    def came(self, at: float) -> None:
        is_apart, self.newest = at - self.newest > TOLERANCE_S, at
        if not is_apart:  # to readings, two scrapes at a time are one
            return
        followed = {rhythm: rhythm.after(at) for rhythm in self.rhythms if not rhythm.has_stopped(at)}
        going_on = [rhythm for rhythm in followed.values() if rhythm is not None]
        if all(rhythm.stride > 1 for rhythm in going_on):
            going_on.extend(filter(None, (self._begun(at),)))
            self._unexpected = [*self._unexpected[1 - KEPT_TIMES :], at]
        going_on.sort(key=lambda rhythm: rhythm.interval_s)
        distinct = [one for n, one in enumerate(going_on) if not any(other.foresees(one) for other in going_on[:n])]
        others = [rhythm for rhythm, next_one in followed.items() if next_one is None]
        self._times = [*self._times[1 - KEPT_TIMES :], at]
        self.rhythms = (*others, *distinct)

    def _begun(self, at: float) -> Rhythm | None:
        """Return the rhythm that a scrape shows together with those before it, where no known one explains them.

        Of several the longest run of scrapes counts, and of equal ones the shortest interval.
        """
        found: dict[float, int] = {}
        for before in reversed(self._unexpected):
            interval_s = at - before
            if interval_s > LONGEST_INTERVAL_S:
                break
            run = self._run(at, interval_s) if interval_s >= SHORTEST_INTERVAL_S else 0
            if run >= SHOWS:
                found[interval_s] = run
            if run == SURE:
                break
        return Rhythm(at, max(found, key=lambda interval_s: found[interval_s])) if found else None

    def _run(self, at: float, interval_s: float) -> int:
        """Return how many scrapes up to this one lie so far apart."""
        for number in range(1, SURE):
            place = bisect_left(self._times, at - number * interval_s - TOLERANCE_S)
            if place == len(self._times) or self._times[place] > at - number * interval_s + TOLERANCE_S:
                return number
        return SURE


class Scrapes:
    """All scrapes, by what they ask for. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._by_fields: dict[Fields | None, _ScrapeTimes] = {}

    def came(self, at: float, fields: Fields | None = None) -> None:
        """Learn of a scrape that asks for some fields, or for all. For one thread, the server's."""
        by_fields = dict(self._by_fields)
        times = by_fields.pop(fields, None) or _ScrapeTimes()
        times.came(at)
        while len(by_fields) >= KEPT_CHOICES:  # a crowd that names this and that costs no scraper of all its rhythm
            del by_fields[next(asked for asked in by_fields if asked is not None)]
        self._by_fields = {**by_fields, fields: times}

    def newest(self, fields: Fields) -> float:
        """Return when the newest scrape came that asks for any of the fields; minus infinity if none did."""
        return max((times.newest for times in self._asking(fields)), default=-math.inf)

    def expected(self, fields: Fields, since: float, now: float) -> float | None:
        """Return the first moment not before `since` at which a scrape is expected that asks for any of the fields.

        Returns:
            The moment; None while no rhythm of such scrapes is known.
        """
        rhythms = (rhythm for times in self._asking(fields) for rhythm in times.rhythms)
        return min((rhythm.expected(since) for rhythm in rhythms if not rhythm.has_stopped(now)), default=None)

    def _asking(self, fields: Fields) -> Iterator[_ScrapeTimes]:
        for asked, times in self._by_fields.items():
            if asked is None or not asked.isdisjoint(fields):
                yield times
