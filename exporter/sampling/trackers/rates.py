"""Rates of counters that NVML gives as field values. Source of a reading: (scope id, field id, field id, …).

The answer is the growth of the fields' sum in a second, in the counters' own unit, by the driver's clock, since
somebody has had the answer before. For Scope.LINK each link has its own, and the source's scope id stands for nothing.
"""

from collections.abc import Iterator
from typing import NamedTuple

from exporter.catalogue.reading import LINKS, Scope, Tracked
from exporter.model import Clock, Entity, Reason
from exporter.nvml.calls import Calls, FieldId
from exporter.nvml.entities import Device
from exporter.sampling.trackers.tracker import DeviceTracker, FieldValues, Observation

CLOCK_STEP = 2.0
"""By which factor the driver's clock may differ from ours between two readings, before it counts as having been set."""


class _Counters(NamedTuple):
    """The counters of one rate, the driver's time of them, in microseconds, and ours, in monotonic seconds."""

    values: tuple[float, ...]
    at_us: int
    at_s: float


class RateTracker(DeviceTracker):
    """The counters of a GPU at their last readings."""

    def __init__(self, _calls: Calls, device: Device, clock: Clock) -> None:
        self._device = device
        self._clock = clock
        self._forget()

    def _forget(self) -> None:
        self._began: dict[tuple[FieldId, ...], _Counters] = {}
        self._ended: dict[tuple[FieldId, ...], _Counters] = {}

    def needs(self, readings: tuple[Tracked, ...]) -> tuple[FieldId, ...]:
        """Return the counters of all rates."""
        return tuple(dict.fromkeys(one for reading in readings for ids, _ in self._rates(reading) for one in ids))

    def collect(self, readings: tuple[Tracked, ...], values: FieldValues) -> Iterator[Observation]:
        """Answer each reading with a rate a second; the first time and after a counter's reset there is none."""
        now = self._clock.monotonic()
        found: dict[tuple[FieldId, ...], float | Reason] = {}
        for reading in readings:
            for ids, entities in self._rates(reading):
                if ids not in found:
                    found[ids] = self._rate(ids, values, now)
                for entity in entities:
                    yield Observation(reading, entity, found[ids])

    def _rates(self, reading: Tracked) -> Iterator[tuple[tuple[FieldId, ...], tuple[Entity, ...]]]:
        """Yield for each rate of a reading its counters and the entities that it is about."""
        scope_id, *fields = reading.source
        if reading.scope is Scope.LINK:
            for link in LINKS:
                yield tuple((field, link) for field in fields), (Entity(self._device.gpu, link=link),)
        else:
            yield tuple((field, scope_id) for field in fields), tuple(t.entity for t in self._device.targets)

    def _rate(self, ids: tuple[FieldId, ...], answers: FieldValues, now: float) -> float | Reason:
        values: list[float] = []
        at_us = 0
        for one in ids:
            value, at_us = answers[one]
            if isinstance(value, Reason):
                return value
            values.append(value)
        new = _Counters(tuple(values), at_us, now)
        self._ended[ids] = new
        began = self._began.setdefault(ids, new)
        growth = Reason.NO_SAMPLE_YET if began is new else _growth(began, new)
        if growth is Reason.NO_SAMPLE_YET:
            self._began[ids] = new
        return growth

    def begin_span(self, readings: tuple[Tracked, ...]) -> None:
        """Let rates begin where their last answers end."""
        for reading in readings:
            for ids, _ in self._rates(reading):
                if ids in self._ended:
                    self._began[ids] = self._ended[ids]

    def inherit(self, former: DeviceTracker) -> None:
        """Nothing stays true."""

    def interrupt(self) -> None:
        """Forget the counters."""
        self._forget()

    def close(self) -> None:
        """Nothing is held."""


def _growth(old: _Counters, new: _Counters) -> float | Reason:
    """Return the growth per second; none if a counter was reset, or if the driver's clock was set meanwhile."""
    span_s, own_span_s = (new.at_us - old.at_us) / 1e6, new.at_s - old.at_s
    if not own_span_s / CLOCK_STEP < span_s < own_span_s * CLOCK_STEP:
        return Reason.NO_SAMPLE_YET
    if any(later < earlier for earlier, later in zip(old.values, new.values, strict=True)):
        return Reason.NO_SAMPLE_YET
    return (sum(new.values) - sum(old.values)) / span_s
