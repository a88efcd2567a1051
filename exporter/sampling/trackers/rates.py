"""Rates of counters that NVML gives as field values. Source of a reading: (scope id, field id, field id, …).

The answer is the growth of the fields' sum in a second, in the counters' own unit, by the driver's clock.
"""

from collections.abc import Iterator
from typing import NamedTuple

from exporter.catalogue.reading import Tracked
from exporter.model import Clock, Reason
from exporter.nvml.calls import Calls, FieldAnswer
from exporter.nvml.entities import Device
from exporter.sampling.trackers.tracker import DeviceTracker, Observation

CLOCK_STEP = 2.0
"""By which factor the driver's clock may differ from ours between two readings, before it counts as set anew."""

Id = tuple[int, int]


class _Counters(NamedTuple):
    """The counters of one reading, the driver's time of them, in microseconds, and ours, in monotonic seconds."""

    values: tuple[float, ...]
    at_us: int
    at_s: float


class RateTracker(DeviceTracker):
    """The counters of a GPU at the last collection."""

    def __init__(self, calls: Calls, device: Device, clock: Clock) -> None:
        self._calls = calls
        self._device = device
        self._clock = clock
        self._last: dict[tuple[int, ...], _Counters] = {}

    def collect(self, readings: tuple[Tracked, ...]) -> Iterator[Observation]:
        """Answer each reading with a rate a second; the first time and after a counter's reset there is none."""
        asked = {reading.source for reading in readings}
        self._last = {source: counters for source, counters in self._last.items() if source in asked}
        ids = tuple(dict.fromkeys(pair for reading in readings for pair in _ids(reading)))
        answers = self._calls.field_values(self._device.handle, ids)
        now = self._clock.monotonic()
        by_id = answers if isinstance(answers, Reason) else dict(zip(ids, answers, strict=True))
        for reading in readings:
            rate = by_id if isinstance(by_id, Reason) else self._rate(reading, by_id, now)
            for target in self._device.targets:
                yield Observation(reading, target.entity, rate)

    def _rate(self, reading: Tracked, answers: dict[Id, FieldAnswer], now: float) -> float | Reason:
        last = self._last.pop(reading.source, None)
        values: list[float] = []
        at_us = 0
        for pair in _ids(reading):
            value, at_us = answers[pair]
            if isinstance(value, Reason):
                return value
            values.append(value)
        new = _Counters(tuple(values), at_us, now)
        self._last[reading.source] = new
        return _growth(last, new) if last else Reason.NO_SAMPLE_YET

    def interrupt(self) -> None:
        """Forget the counters."""
        self._last = {}

    def close(self) -> None:
        """Nothing is held."""


def _growth(old: _Counters, new: _Counters) -> float | Reason:
    """Return the growth a second; none if a counter began anew, or if the driver's clock was set meanwhile."""
    span_s, own_span_s = (new.at_us - old.at_us) / 1e6, new.at_s - old.at_s
    if not own_span_s / CLOCK_STEP < span_s < own_span_s * CLOCK_STEP:
        return Reason.NO_SAMPLE_YET
    if any(later < earlier for earlier, later in zip(old.values, new.values, strict=True)):
        return Reason.NO_SAMPLE_YET
    return (sum(new.values) - sum(old.values)) / span_s


def _ids(reading: Tracked) -> tuple[Id, ...]:
    scope, *fields = reading.source
    return tuple((field, scope) for field in fields)
