"""What held a GPU's clocks down. Source of a reading: the milliseconds of a window, or nothing for totals.

As dcgm-exporter counts: within a window the collections at which a reason was there, in total how often one began.
"""

from collections import Counter
from collections.abc import Iterator

from exporter.catalogue.clock_events import REASON_NAMES
from exporter.catalogue.clocks import CURRENT_REASONS
from exporter.catalogue.reading import Tracked
from exporter.catalogue.units import number_of
from exporter.model import Clock, Reason
from exporter.nvml.calls import Calls
from exporter.nvml.entities import Device
from exporter.sampling.trackers.sliding_count import SlidingCount, Tally
from exporter.sampling.trackers.tracker import DeviceTracker, FieldValues, Observation


class ClockEventTracker(DeviceTracker):
    """Asks for the reasons at each collection, and compares them with those of the one before."""

    def __init__(self, calls: Calls, device: Device, clock: Clock) -> None:
        self._calls = calls
        self._device = device
        self._clock = clock
        self._before: frozenset[str] | None = None
        self._begun: Counter[str] = Counter()
        self._windows: dict[int, SlidingCount] = {}

    def collect(self, readings: tuple[Tracked, ...], _values: FieldValues) -> Iterator[Observation]:
        """Answer each reading with a tally for each reason; the reasons at the first collection did not begin there."""
        for reading in readings:
            for window_ms in reading.source:
                self._windows.setdefault(window_ms, SlidingCount(window_ms / 1000))
        failed = self._look()
        for reading in readings:
            answers = [failed] if failed else list(self._tallies(reading.source))
            for target in self._device.targets:
                for answer in answers:
                    yield Observation(reading, target.entity, answer)

    def _look(self) -> Reason | None:
        answer = self._calls.newest(CURRENT_REASONS.versions, self._device.handle)
        mask = answer if isinstance(answer, Reason) else number_of(answer)
        if isinstance(mask, Reason):
            return mask
        reasons = frozenset(name for bit, name in REASON_NAMES.items() if int(mask) & bit)
        now = self._clock.monotonic()
        self._begun.update(reasons - (reasons if self._before is None else self._before))
        for window in self._windows.values():
            for reason in reasons:
                window.add(reason, now)
        self._before = reasons
        return None

    def _tallies(self, source: tuple[int, ...]) -> Iterator[Tally]:
        for window_ms in source:
            yield from self._windows[window_ms].tallies(self._clock.monotonic())
        if not source:
            yield from (Tally(name, self._begun[name]) for name in sorted(REASON_NAMES.values()))

    def inherit(self, former: DeviceTracker) -> None:
        """Start over with the GPU."""

    def interrupt(self) -> None:
        """Compare across the pause: a reason that was not there before it has begun since."""

    def close(self) -> None:
        """Nothing is held."""
