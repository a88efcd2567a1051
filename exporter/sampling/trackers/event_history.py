"""What the driver has reported of one entity: how often each type of event, and of Xids which, how many and when."""

from collections import Counter
from typing import NamedTuple

from exporter.catalogue.driver_events import EVENT_NAMES, XID
from exporter.catalogue.xids import MESSAGES
from exporter.nvml.events import HeardEvent
from exporter.sampling.trackers.sliding_count import SlidingCount, Tally

OTHER = "other"
"""Stands for the codes of Xids that nobody knows, once there are many of them."""

MOST_UNKNOWN = 16
"""How many such codes have series of their own."""


class Moment(NamedTuple):
    """Monotonic seconds, and seconds of the epoch."""

    monotonic: float
    wall: float


class EventHistory:
    """What one entity has had, from the moment on at which the driver's events are listened to."""

    def __init__(self) -> None:
        self._events: Counter[str] = Counter()
        self._xids: Counter[str] = Counter()
        self._last: dict[str, Moment] = {}
        self._windows: dict[int, SlidingCount] = {}
        self._last_xid = 0
        self._last_at = 0.0

    def hear(self, event: HeardEvent, now: Moment) -> None:
        """Remember an event that the driver has reported now."""
        self._events[EVENT_NAMES.get(event.type, OTHER)] += 1
        if event.type == XID:
            self._hear_xid(event.data, now)

    def _hear_xid(self, code: int, now: Moment) -> None:
        name = self._name(code)
        self._last_xid, self._last_at = code, now.monotonic
        self._xids[name] += 1
        self._last[name] = now
        for window in self._windows.values():
            window.add(name, now.monotonic)

    def events(self) -> list[Tally]:
        """Return how many events of each type there were."""
        return [Tally(name, number) for name, number in sorted(self._events.items())]

    def last_xid(self, now: float, reset_after_ms: int) -> int:
        """Return the code of the newest Xid; 0 where there was none, or none for so long."""
        return self._last_xid if now < self.resets_at(reset_after_ms) else 0

    def resets_at(self, reset_after_ms: int) -> float:
        """Return when the newest Xid is 0 again if none comes, in monotonic seconds; 0 ms is never."""
        return self._last_at + reset_after_ms / 1000 if reset_after_ms else float("inf")

    def totals(self) -> list[Tally]:
        """Return how many Xids there were of each code."""
        return [Tally(name, number) for name, number in sorted(self._xids.items())]

    def times(self) -> list[Tally]:
        """Return when the last Xid of each code came, in seconds of the epoch."""
        return [Tally(name, moment.wall) for name, moment in sorted(self._last.items())]

    def within(self, window_ms: int, now: float) -> list[Tally]:
        """Return how many Xids of each code came within a window."""
        return self._window(window_ms).tallies(now)

    def window_lasts_until(self, window_ms: int) -> float:
        """Return until when that stays so if no Xid comes, in monotonic seconds."""
        return self._window(window_ms).lasts_until()

    def _window(self, window_ms: int) -> SlidingCount:
        return self._windows.setdefault(window_ms, SlidingCount(window_ms / 1000))

    def _name(self, code: int) -> str:
        """Return what stands for a code in labels: a driver that answers nonsense must not fill Prometheus."""
        name = str(code)
        if code in MESSAGES or name in self._xids:
            return name
        unknown = sum(int(known) not in MESSAGES for known in self._xids if known != OTHER)
        return name if unknown < MOST_UNKNOWN else OTHER
