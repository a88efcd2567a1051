"""Signals: quantities over time that know their own integral.

Everything the mock answers is computed from these when it is asked; nothing runs between two calls. Loads, and what
follows from them (utilization, power), are signals. A counter is a signal's integral. Time is seconds since the mock
began; a signal also answers for times before that, as if it had been running.
"""

import math
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Protocol


class Value(Protocol):
    """A number at every moment."""

    def value(self, t: float) -> float:
        """Return the value at a time."""


class Signal(Value, Protocol):
    """A number at every moment that can be averaged over a span."""

    def integral(self, start: float, end: float) -> float:
        """Return the area from one time to a later one, in the signal's unit times seconds."""


def mean(signal: Signal, start: float, end: float) -> float:
    """Return a signal's average over a span that is not empty."""
    return signal.integral(start, end) / (end - start)


@dataclass(frozen=True, slots=True)
class Constant:
    """The same value for ever."""

    level: float

    def value(self, _t: float) -> float:
        """Return the level."""
        return self.level

    def integral(self, start: float, end: float) -> float:
        """Return the area of a rectangle."""
        return self.level * (end - start)


@dataclass(frozen=True, slots=True)
class Wave:
    """A sine between two levels; `phase_s` moves it to earlier times."""

    low: float
    high: float
    period_s: float
    phase_s: float = 0.0

    def value(self, t: float) -> float:
        """Return the level at a time; the middle, rising, at `-phase_s`."""
        swing = (self.high - self.low) / 2
        return self.low + swing + swing * math.sin(math.tau * self._cycles(t))

    def integral(self, start: float, end: float) -> float:
        """Return the exact area under the sine."""
        swing = (self.high - self.low) / 2
        bends = math.cos(math.tau * self._cycles(start)) - math.cos(math.tau * self._cycles(end))
        return (self.low + swing) * (end - start) + swing * bends * self.period_s / math.tau

    def _cycles(self, t: float) -> float:
        return ((t + self.phase_s) / self.period_s) % 1.0


@dataclass(frozen=True, slots=True)
class Bursts:
    """1 for a share of each period, from its start on, and 0 for the rest."""

    share: float
    period_s: float

    def value(self, t: float) -> float:
        """Return whether a burst is on."""
        return float(t % self.period_s < self.share * self.period_s)

    def integral(self, start: float, end: float) -> float:
        """Return the length of all bursts between."""
        return self._area_until(end) - self._area_until(start)

    def _area_until(self, t: float) -> float:
        periods, rest = divmod(t, self.period_s)
        burst_s = self.share * self.period_s
        return periods * burst_s + min(rest, burst_s)


class Steps:
    """Levels that follow each other at once, ending in the last one or beginning again.

    Args:
        starts: When each level begins; ascending. Before the first, the first level holds.
        levels: As many levels.
        period_s: Repeat after this many seconds from the first start; None to hold the last level.
    """

    def __init__(self, starts: tuple[float, ...], levels: tuple[float, ...], period_s: float | None = None) -> None:
        self._first_s = starts[0]
        self.period_s = period_s
        self._starts = tuple(start - self._first_s for start in starts)
        self._levels = levels
        widths = (later - earlier for earlier, later in pairwise(self._starts))
        self._areas = tuple(accumulate((w * level for w, level in zip(widths, levels, strict=False)), initial=0.0))

    def value(self, t: float) -> float:
        """Return the level at a time."""
        since = t - self._first_s
        if self.period_s is not None:
            since %= self.period_s
        return self._levels[max(bisect_right(self._starts, since) - 1, 0)]

    def integral(self, start: float, end: float) -> float:
        """Return the exact area under the levels."""
        return self._area_until(end) - self._area_until(start)

    def _area_until(self, t: float) -> float:
        since = t - self._first_s
        if self.period_s is None:
            return self._area_within(since)
        passes, rest = divmod(since, self.period_s)
        return passes * self._area_within(self.period_s) + self._area_within(rest)

    def _area_within(self, since: float) -> float:
        at = max(bisect_right(self._starts, since) - 1, 0)
        return self._areas[at] + self._levels[at] * (since - self._starts[at])


@dataclass(frozen=True, slots=True)
class Mix:
    """A weighted sum, as of a GPU's instances."""

    parts: tuple[tuple[float, Signal], ...]

    def value(self, t: float) -> float:
        """Return the weighted sum of the values."""
        return sum(weight * part.value(t) for weight, part in self.parts)

    def integral(self, start: float, end: float) -> float:
        """Return the weighted sum of the areas."""
        return sum(weight * part.integral(start, end) for weight, part in self.parts)


@dataclass(frozen=True, slots=True)
class Between:
    """A quantity that goes from its idle value to its busy value as a load goes from 0 to 1."""

    load: Signal
    idle: float
    busy: float

    def value(self, t: float) -> float:
        """Return the interpolated value."""
        return self.idle + (self.busy - self.idle) * self.load.value(t)

    def integral(self, start: float, end: float) -> float:
        """Return the interpolated area."""
        return self.idle * (end - start) + (self.busy - self.idle) * self.load.integral(start, end)


@dataclass(frozen=True, slots=True)
class Either:
    """A quantity that is one thing at no load and another under any."""

    load: Signal
    idle: float
    busy: float

    def value(self, t: float) -> float:
        """Return which of the two it is."""
        return self.busy if self.load.value(t) > 0 else self.idle


@dataclass(frozen=True, slots=True)
class LastSample:
    """What a sampling driver says at once: the mean over the last whole period, not the present.

    Read less often than it changes, it aliases, as on hardware.
    """

    signal: Signal
    period_s: float

    def value(self, t: float) -> float:
        """Return the mean over the last period that has ended."""
        end = math.floor(t / self.period_s) * self.period_s
        return mean(self.signal, end - self.period_s, end)


@dataclass(frozen=True, slots=True)
class Trailing:
    """The mean over the last seconds, up to now."""

    signal: Signal
    window_s: float

    def value(self, t: float) -> float:
        """Return the mean over the window that ends at a time."""
        return mean(self.signal, t - self.window_s, t)


@dataclass(frozen=True, slots=True)
class GrowingTotal:
    """A total that grows by the integral of its rate from `start` on."""

    start: float
    rate: Signal

    def value(self, t: float) -> float:
        """Return the total at a time."""
        return self.start + self.rate.integral(0.0, t)
