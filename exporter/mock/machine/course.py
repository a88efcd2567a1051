"""Courses: signals that change while the mock runs, with a memory of what they were."""

from bisect import bisect_right
from dataclasses import dataclass

from exporter.mock.machine.signals import Constant, Signal

KEPT_S = 600.0
"""How long a course remembers its changes: far longer than a ring lasts, or than two GPM samples are apart."""


@dataclass(frozen=True, slots=True)
class _Part:
    """From `start_s` on the signal holds; `area` is the course's integral from 0 until then."""

    start_s: float
    area: float
    signal: Signal

    def area_until(self, t: float) -> float:
        return self.area + self.signal.integral(self.start_s, t)


class Course:
    """A signal that another one can take over from, at any moment; the past stays what it was.

    Changes older than KEPT_S are merged into their mean, so a total over all the time stays exact. Reading needs no
    lock, because a change is one assignment; changes must come one at a time, in the order of their times.

    Args:
        signal: What holds until the first change, times before 0 included.
    """

    def __init__(self, signal: Signal) -> None:
        self._parts: tuple[_Part, ...] = (_Part(0.0, 0.0, signal),)

    def change(self, at: float, signal: Signal) -> None:
        """Let a signal hold from a time on; a second change at the same time replaces the first."""
        area = self._part_at(at).area_until(at)
        kept = tuple(part for part in self._parts if part.start_s < at)
        self._parts = (*_thinned(kept, at - KEPT_S), _Part(at, area, signal))

    def value(self, t: float) -> float:
        """Return the value at a time."""
        return self._part_at(t).signal.value(t)

    def integral(self, start: float, end: float) -> float:
        """Return the area over a span, whichever signals held in it."""
        parts = self._parts
        first, last = _at(parts, start), _at(parts, end)
        if first is last:
            return first.signal.integral(start, end)
        return last.area_until(end) - first.area_until(start)

    def _part_at(self, t: float) -> _Part:
        return _at(self._parts, t)


def _at(parts: tuple[_Part, ...], t: float) -> _Part:
    return parts[max(bisect_right(parts, t, key=lambda part: part.start_s) - 1, 0)]


def _thinned(parts: tuple[_Part, ...], horizon_s: float) -> tuple[_Part, ...]:
    """Merge what ended before a time into one part of the same area."""
    oldest = bisect_right(parts, horizon_s, key=lambda part: part.start_s) - 1
    if oldest <= 0:
        return parts
    first_kept = parts[oldest]
    return (_Part(0.0, 0.0, Constant(first_kept.area / first_kept.start_s)), *parts[oldest:])
