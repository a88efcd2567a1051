"""How often things came within the last seconds. Memory is bounded, however many come."""

from collections import Counter, deque
from typing import NamedTuple

SLICES = 100
"""What has come within a hundredth of the window is forgotten together."""


class Tally(NamedTuple):
    """A number of something; of nothing in particular where `what` is empty."""

    what: str
    value: float


class SlidingCount:
    """Counts what came within a window that ends now, to a hundredth of it."""

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._slices: deque[tuple[float, Counter[str]]] = deque()
        self._sum: Counter[str] = Counter()

    def add(self, what: str, now: float) -> None:
        """Count one more, at a time in monotonic seconds that is not before the last one's."""
        if not self._slices or now - self._slices[-1][0] >= self._window_s / SLICES:
            self._slices.append((now, Counter()))
        self._slices[-1][1][what] += 1
        self._sum[what] += 1

    def tallies(self, now: float) -> list[Tally]:
        """Return how many of each came within the window; a 0 without a name if none did."""
        while self._slices and now - self._slices[0][0] >= self._window_s:
            _, forgotten = self._slices.popleft()
            self._sum -= forgotten
        return [Tally(what, number) for what, number in sorted(self._sum.items())] or [Tally("", 0)]

    def lasts_until(self) -> float:
        """Return until when that stays so if nothing more comes, in monotonic seconds."""
        return self._slices[0][0] + self._window_s if self._slices else float("inf")
