"""How long collections take and lie apart: for how long a sample is true, and when too much time has passed."""

from dataclasses import dataclass, field

from exporter.catalogue.reading import COLLECTION
from exporter.model import Clock
from exporter.sampling.scrapes import Scrapes

SHORTEST_LIFE_S = 3.0


def life_s(period_s: float) -> float:
    """Return for how long a sample of a period is true: three periods, and never less than 3 s."""
    return max(3 * period_s, SHORTEST_LIFE_S)


@dataclass(frozen=True, slots=True)
class Pacing:
    """What all GPUs' collections go by: the clock, the seconds between two, and the scrapes that they are made for."""

    clock: Clock
    interval_s: float
    scrapes: Scrapes = field(default_factory=Scrapes)


class CollectionPace:
    """The pace of one GPU's collections.

    Attributes:
        now: Monotonic seconds, as they were when the clock was last looked at.
    """

    def __init__(self, clock: Clock, interval_s: float) -> None:
        self._clock = clock
        self._interval_s = interval_s
        self._began = 0.0
        self._took_s = 0.0
        self._usual_s = 0.0
        self.now = clock.monotonic()
        self._wall = clock.time()

    def has_paused(self) -> bool:
        """Look at the clock; say whether a sample would have expired since the last look.

        The wall clock counts, too: the monotonic one stands still while a machine is suspended.
        """
        now, wall = self._clock.monotonic(), self._clock.time()
        passed_s = max(now - self.now, wall - self._wall)
        self.now, self._wall = now, wall
        return passed_s >= self.life_s(COLLECTION)

    def begin(self) -> None:
        """Begin a collection."""
        self._began = self.now

    def end(self) -> None:
        """End a collection. Two that took long make long lives; one may have met a call that hung."""
        took_s = self.now - self._began
        self._usual_s = min(took_s, self._took_s)
        self._took_s = took_s

    def life_s(self, period_s: float) -> float:
        """Return for how long a sample of a period is true: long enough for the next collection to end."""
        return max(life_s(max(period_s, self._interval_s)), 3 * self._usual_s)
