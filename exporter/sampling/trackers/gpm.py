"""GPM: means between the last collection and this one. Source of a reading: (NVML_GPM_METRIC_*,).

For Scope.LINK the source has a metric for each of reading.LINKS. A total may have several metrics, and is answered with
ActiveSeconds, from the same pair of samples and the same call as the means.
"""

from collections.abc import Iterator, Mapping

from exporter.catalogue.reading import Scope, Tracked
from exporter.model import Clock, Entity, Reason
from exporter.nvml.calls import Calls
from exporter.nvml.entities import Device, Target
from exporter.nvml.gpm import SamplePair, why_no_gpm
from exporter.sampling.trackers.active_seconds import ActiveSeconds
from exporter.sampling.trackers.tracker import DeviceTracker, FieldValues, Observation

SHORTEST_SPAN_S = 0.08
"""Samples that lie closer together give NaN; measured on an H100, driver 580."""


class GpmTracker(DeviceTracker):
    """The sample pairs of a GPU and of its exported MIG instances."""

    def __init__(self, calls: Calls, device: Device, clock: Clock) -> None:
        self._calls = calls
        self._device = device
        self._clock = clock
        self._refused: Reason | None = Reason.NO_SAMPLE_YET
        self._pairs: dict[int | None, SamplePair] = {}
        self._totals: dict[tuple[int | None, tuple[int, ...]], ActiveSeconds] = {}
        self._taken = float("-inf")
        self._last: tuple[tuple[Tracked, ...], tuple[Observation, ...]] = ((), ())

    def collect(self, readings: tuple[Tracked, ...], _values: FieldValues) -> Iterator[Observation]:
        """Answer each reading with NVML's double, in percent or MiB/s."""
        now = self._clock.monotonic()
        known, answers = self._last
        if known != readings or now - self._taken >= SHORTEST_SPAN_S:
            answers = tuple(self._answers(readings))
            self._last = (readings, answers)
            self._taken = now
        return iter(answers)

    def _answers(self, readings: tuple[Tracked, ...]) -> Iterator[Observation]:
        if self._refused:
            self._refused = why_no_gpm(self._calls, self._device)
        of_gpu = tuple(r for r in readings if r.scope is not Scope.INSTANCE)
        of_instance = tuple(r for r in readings if r.scope is Scope.INSTANCE)
        targets = self._device.targets
        if any(target.entity.instance for target in targets):
            yield from self._read(None, of_gpu, targets)
            for target in targets:
                instance = target.entity.instance
                number = None if instance is None else instance.gpu_instance_id
                yield from self._read(number, of_instance, (target,))
        else:
            yield from self._read(None, readings, targets)

    def _read(
        self, instance_id: int | None, readings: tuple[Tracked, ...], targets: tuple[Target, ...]
    ) -> Iterator[Observation]:
        if not readings:
            return
        metrics = tuple(dict.fromkeys(metric for reading in readings for metric in reading.source))
        values = self._refused or self._values(instance_id, metrics)
        each = [values] * len(metrics) if isinstance(values, Reason) else values
        found = dict(zip(metrics, each, strict=True))
        for reading in readings:
            if reading.scope is Scope.LINK:
                for link, metric in enumerate(reading.source):
                    yield Observation(reading, Entity(self._device.gpu, link=link), found[metric])
                continue
            answer = self._total(instance_id, reading, found) if reading.is_total else found[reading.source[0]]
            for target in targets:
                yield Observation(reading, target.entity, answer)

    def _total(
        self, instance_id: int | None, reading: Tracked, found: Mapping[int, float | Reason]
    ) -> ActiveSeconds | Reason:
        """Return what a reading's metrics have come to, or the reason that all of them have for none."""
        means = {metric: found[metric] for metric in reading.source}
        (first, *others), key = means.values(), (instance_id, reading.source)
        if isinstance(first, Reason) and all(mean is first for mean in others):
            return self._totals.get(key, first) if first is Reason.NO_SAMPLE_YET else first
        total = self._totals.get(key, ActiveSeconds()).grown(self._pairs[instance_id].span_s, means)
        self._totals[key] = total
        return total

    def _values(self, instance_id: int | None, metrics: tuple[int, ...]) -> list[float | Reason] | Reason:
        if instance_id not in self._pairs:
            self._pairs[instance_id] = SamplePair(self._calls, self._device, instance_id, self._clock)
        pair = self._pairs[instance_id]
        return pair.advance() or pair.metrics(metrics)

    def inherit(self, former: DeviceTracker) -> None:
        """Nothing stays true."""

    def interrupt(self) -> None:
        """Free all samples, so that the next pair begins anew."""
        self.close()
        self._last = ((), ())

    def close(self) -> None:
        """Free all samples."""
        for pair in self._pairs.values():
            pair.close()
