"""Health of a GPU's parts, judged by the catalogue's checks from what other readings have answered; it reads nothing.

A reading's source is empty; its answers are a verdict for each watch of which something is known. What the GPU does
not support counts for nothing. Where a check can't be made because of a value that should be there and is not, the
watch is not held to be sound.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import NamedTuple

from exporter.catalogue.health import CHECKS, HEARD_XIDS, LAST_XID, Check
from exporter.catalogue.reading import Tracked
from exporter.catalogue.units import number_of
from exporter.model import Clock, Entity, Missing, Reason, Sample
from exporter.nvml.calls import Calls
from exporter.nvml.entities import Device
from exporter.sampling.trackers.tracker import DeviceTracker, FieldValues, Observation

MINUTE_S = 60.0

PASS, NO_ERROR = 0, "DCGM_FR_OK"


class Verdict(NamedTuple):
    """What a watch comes to: DCGM's result and the code of its cause."""

    watch: str
    result: int
    code: str


class _Count(NamedTuple):
    at_s: float
    value: float


class _GrowingCount:
    """The readings of one counter, from the last that is a minute old, or the first, to the newest."""

    def __init__(self) -> None:
        self._readings: deque[_Count] = deque()
        self._expires = 0.0

    def add(self, value: float, expires: float, now: float) -> None:
        """Take a reading; one that was seen before has the same expiry. A counter that fell was reset."""
        if expires == self._expires:
            return
        self._expires = expires
        if self._readings and value < self._readings[-1].value:
            self._readings.clear()
        self._readings.append(_Count(now, value))
        while len(self._readings) > 1 and self._readings[1].at_s <= now - MINUTE_S:
            self._readings.popleft()

    def growth(self) -> float | None:
        """Return by how much it grew in a minute: so far, or on average where readings are further apart."""
        first, last = self._readings[0], self._readings[-1]
        if first.at_s == last.at_s:
            return None
        return (last.value - first.value) * MINUTE_S / max(last.at_s - first.at_s, MINUTE_S)


class HealthTracker(DeviceTracker):
    """The newest values of one GPU, and how its counters have grown."""

    def __init__(self, _calls: Calls, device: Device, clock: Clock) -> None:
        self._entity = Entity(device.gpu)
        self._clock = clock
        self._values: dict[str, list[float]] = {}
        self._absent: set[str] = set()
        self._failed: set[str] = set()
        self._counters: dict[tuple[str, int | None], _GrowingCount] = {}

    def review(self, samples: Iterable[Sample], missing: Iterable[Missing]) -> None:
        """Take what is true now, of the GPU, its instances and its links."""
        now = self._clock.monotonic()
        self._values = {}
        heard: list[float] = []
        for sample in samples:
            if sample.field == HEARD_XIDS:
                heard += (float(code) for _, code in sample.labels if code.isdecimal())
            if sample.expires > now and sample.field in _INPUTS and not isinstance(number_of(sample.value), Reason):
                self._values.setdefault(sample.field, []).append(float(sample.value))
                if sample.field in _COUNTERS:
                    counter = self._counters.setdefault((sample.field, sample.entity.link), _GrowingCount())
                    counter.add(float(sample.value), sample.expires, now)
        if any(self._values.get(LAST_XID, ())):
            self._values[LAST_XID] += heard
        self._absent = {one.field for one in missing if one.reason is Reason.NOT_SUPPORTED}
        self._failed = {one.field for one in missing if one.reason is not Reason.NOT_SUPPORTED}

    def collect(self, readings: tuple[Tracked, ...], _values: FieldValues) -> Iterator[Observation]:
        """Answer each reading with a verdict for each watch of which anything can be said."""
        for reading in readings:
            for verdict in self._verdicts():
                yield Observation(reading, self._entity, verdict)

    def last_words(self, readings: tuple[Tracked, ...]) -> Iterator[Observation]:
        """Answer with what was wrong; a GPU that is gone is not sound in any way."""
        for reading in readings:
            for verdict in self._verdicts():
                if verdict.result != PASS:
                    yield Observation(reading, self._entity, verdict)

    def interrupt(self) -> None:
        """Forget how counters have grown."""
        self._counters = {}

    def _verdicts(self) -> list[Verdict]:
        verdicts = (self._verdict(tuple(checks)) for _, checks in groupby(CHECKS, lambda check: check.watch))
        return [verdict for verdict in verdicts if verdict]

    def _verdict(self, checks: tuple[Check, ...]) -> Verdict | None:
        worst: Check | None = None
        is_known, is_open = False, False
        for check in checks:
            is_bad = self._is_bad(check)
            is_known = is_known or is_bad is not None
            is_open = is_open or any(map(self._is_open, check.fields))
            if is_bad and (worst is None or check.result > worst.result):
                worst = check
        if worst:
            return Verdict(worst.watch, worst.result, worst.code)
        return Verdict(checks[0].watch, PASS, NO_ERROR) if is_known and not is_open else None

    def _is_bad(self, check: Check) -> bool | None:
        """Return what a check says; None where there is nothing that it could go by."""
        values = [value for name in check.fields for value in self._numbers(name, by_growth=check.by_growth)]
        return check.is_bad(values) if values else None

    def _numbers(self, name: str, *, by_growth: bool) -> list[float]:
        if not by_growth:
            return self._values.get(name, [])
        growths = (counter.growth() for (field, _), counter in self._counters.items() if field == name)
        return [growth for growth in growths if growth is not None] if name in self._values else []

    def _is_open(self, name: str) -> bool:
        """Say whether a field should have a value, or a second one to compare with, and has none."""
        if name not in self._values:
            return name in self._failed or name not in self._absent
        return name in self._failed or (name in _COUNTERS and not self._numbers(name, by_growth=True))


_INPUTS = frozenset(name for check in CHECKS for name in check.fields)
_COUNTERS = frozenset(name for check in CHECKS if check.by_growth for name in check.fields)
