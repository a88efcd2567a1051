"""How busy each GPU truly was from one look to the next, kept for a short history."""

from collections import deque

from exporter.view.overview import Overview, RowKey, Seconds

KEPT = 30
"""How many looks a history has."""


class LoadHistory:
    """Means of the spans between looks, in percent, the oldest first."""

    def __init__(self) -> None:
        self._last: dict[RowKey, Seconds] = {}
        self._loads: dict[RowKey, deque[float]] = {}

    def look(self, overview: Overview) -> None:
        """Take what the counters of a new look add. Nothing is made up of a gap, a restart or a counter that stands."""
        seconds = {row.key: row.seconds for row in overview.rows if row.seconds is not None}
        self._loads = {key: loads for key, loads in self._loads.items() if key in seconds}
        for key, now in seconds.items():
            before = self._last.get(key)
            if before is None or now.observed <= before.observed or now.busy < before.busy:
                continue
            load = (now.busy - before.busy) / (now.observed - before.observed)
            self._loads.setdefault(key, deque(maxlen=KEPT)).append(min(100.0, 100 * load))
        self._last = seconds

    def of(self, key: RowKey) -> tuple[float, ...]:
        """Return the history of a GPU or MIG instance; empty until two looks have seen something."""
        return tuple(self._loads.get(key, ()))
