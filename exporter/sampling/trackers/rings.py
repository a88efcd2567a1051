"""Utilization by the driver's rings of samples. Source of a reading: (NVML_*_UTILIZATION_SAMPLES,).

Each reading is answered with a Utilization. A ring has one reader, this, which continues after the last sample that it
has seen; so it may be read seldom, and as long as nothing falls out of the ring nothing is lost.
"""

from collections.abc import Iterator
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from exporter.catalogue.reading import Tracked
from exporter.model import Clock, Reason
from exporter.nvml.calls import Calls
from exporter.nvml.entities import Device
from exporter.nvml.rings import RingSample, read_ring
from exporter.sampling.trackers.tracker import DeviceTracker, FieldValues, Observation

SILENT_S = 2.0
"""After what time without a sample the driver's clock must have been set back; NVML promises one a second at least."""

SHORTEST_PERIOD_US = 1e6 / 6
"""NVML's shortest sampling period by its documentation; stands where a ring has not shown its own yet."""

SHORTEST_READ_S = 0.1
"""A ring that was read so shortly before has nothing new; several readings are made of it in one collection."""

LOST = 1.5
"""How many usual distances lie between two samples, if one of them was lost."""


class Utilization(NamedTuple):
    """What a ring has told.

    `busy_s` and `observed_s` are seconds since the tracker began: how long the unit was busy, and how long that was
    seen. `percent` is the mean since somebody has had the one before.
    """

    busy_s: float
    observed_s: float
    percent: float | Reason


class RingTracker(DeviceTracker):
    """The rings of one GPU, by kind. What lies between two samples says by itself whether there was a gap."""

    def __init__(self, calls: Calls, device: Device, clock: Clock) -> None:
        self._calls = calls
        self._device = device
        self._clock = clock
        self._rings: dict[int, _Ring] = {}

    def collect(self, readings: tuple[Tracked, ...], _values: FieldValues) -> Iterator[Observation]:
        """Answer each reading with a Utilization."""
        kinds = dict.fromkeys(reading.source[0] for reading in readings)
        now = self._clock.monotonic()
        failed = {kind: self._read(kind) for kind in kinds if not self._was_read(kind, now)}
        means = {reading.source[0] for reading in readings if not reading.is_total}
        answers = {kind: failed.get(kind) or self._rings[kind].answer(is_mean=kind in means) for kind in kinds}
        for reading in readings:
            for target in self._device.targets:
                yield Observation(reading, target.entity, answers[reading.source[0]])

    def begin_span(self, readings: tuple[Tracked, ...]) -> None:
        """Let the means of rings begin behind their last answers."""
        for kind in {reading.source[0] for reading in readings if not reading.is_total} & self._rings.keys():
            self._rings[kind].begin_mean()

    def keep_up(self) -> None:
        """Read all rings that have been asked for and can be read."""
        for kind in self._rings:
            self._read(kind)

    def _was_read(self, kind: int, now: float) -> bool:
        return kind in self._rings and now - self._rings[kind].read_at < SHORTEST_READ_S

    def _read(self, kind: int) -> Reason | None:
        ring = self._rings.get(kind) or _Ring()
        samples = read_ring(self._calls, self._device, kind, ring.newest_us)
        if isinstance(samples, Reason):
            return samples
        self._rings[kind] = ring
        ring.read_at = self._clock.monotonic()
        ring.add(samples, ring.read_at)
        return None

    def inherit(self, former: DeviceTracker) -> None:
        """Nothing outlives the GPU: a new worker counts from 0, which Prometheus knows for a restart."""

    def interrupt(self) -> None:
        """Nothing is compared but the samples' own times."""

    def close(self) -> None:
        """Nothing is held."""


class _Ring:
    """One ring.

    Attributes:
        newest_us: The newest sample that is known, by the driver's clock; 0 to start over.
        read_at: When the ring was read last; monotonic seconds.
    """

    def __init__(self) -> None:
        self.newest_us = 0
        self.read_at = float("-inf")
        self._usual_us = SHORTEST_PERIOD_US
        self._heard = 0.0
        self._busy_us = 0.0
        self._observed_us = 0.0
        self._began = self._ended = (0.0, 0.0)
        self._percent: float | Reason = Reason.NO_SAMPLE_YET

    def add(self, samples: list[RingSample], now: float) -> None:
        """Add samples that are newer than the newest known one; of those found at first nothing is counted."""
        if not samples:
            if now - self._heard >= SILENT_S:
                self.newest_us, self._percent = 0, Reason.NO_SAMPLE_YET
            return
        self._heard = now
        if self.newest_us:
            for sample in samples:
                self._count(sample)
        else:
            distances = [later.at_us - earlier.at_us for earlier, later in pairwise(samples)]
            self._usual_us = median(distances or [self._usual_us])
            self.newest_us, self._percent = samples[-1]

    def _count(self, sample: RingSample) -> None:
        """Count the time between a sample and the one before it; behind a gap it stands for its own period alone."""
        distance_us = sample.at_us - self.newest_us
        span_us = distance_us if distance_us <= LOST * self._usual_us else self._usual_us
        self._busy_us += span_us * (sample.percent / 100)
        self._observed_us += span_us
        self.newest_us = sample.at_us

    def answer(self, *, is_mean: bool) -> Utilization:
        """Return what has come together, and the mean of the span; the last one while nothing has.

        One that is not asked for as a mean ends no span of means.
        """
        if is_mean and self._observed_us > self._ended[1]:
            self._percent = 100 * (self._busy_us - self._began[0]) / (self._observed_us - self._began[1])
            self._ended = (self._busy_us, self._observed_us)
        return Utilization(self._busy_us / 1e6, self._observed_us / 1e6, self._percent)

    def begin_mean(self) -> None:
        """Start the span of the mean where it ended last."""
        self._began = self._ended
