"""GPM: means between two samples. Source of a reading: (NVML_GPM_METRIC_*,).

A mean spans the time since somebody has had the one before, however often it is read meanwhile. For Scope.LINK the
source has a metric for each of reading.LINKS. A total may have several metrics, and is answered with ActiveSeconds,
from the same samples and, where the spans are the same, the same call as the means.
"""

from collections.abc import Iterator
from typing import Any

from exporter.catalogue.reading import Scope, Tracked
from exporter.model import Clock, Entity, Reason
from exporter.nvml.calls import Calls
from exporter.nvml.entities import Device, Target
from exporter.nvml.gpm import GpmSamples, TakenSample, why_no_gpm
from exporter.sampling.trackers.active_seconds import ActiveSeconds
from exporter.sampling.trackers.tracker import DeviceTracker, FieldValues, Observation

TOO_OLD = "GPM needs Hopper or newer"

SHORTEST_SPAN_S = 0.08
"""Samples that lie closer together give NaN; measured on an H100, driver 580."""

Means = dict[int, float | Reason]


class GpmTracker(DeviceTracker):
    """The samples of a GPU and of its exported MIG instances."""

    def __init__(self, calls: Calls, device: Device, clock: Clock) -> None:
        self._calls = calls
        self._device = device
        self._clock = clock
        self._refused: Reason | None = Reason.NO_SAMPLE_YET
        self._spans: dict[int | None, _Spans] = {}

    def collect(self, readings: tuple[Tracked, ...], _values: FieldValues) -> Iterator[Observation]:
        """Answer each reading with NVML's double, in percent or MiB/s."""
        if self._refused:
            self._refused = why_no_gpm(self._calls, self._device)
        answers = self._answers(readings)
        if self._refused is Reason.NOT_SUPPORTED:
            return (answer._replace(because=TOO_OLD) for answer in answers)
        return answers

    def _answers(self, readings: tuple[Tracked, ...]) -> Iterator[Observation]:
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
        if instance_id not in self._spans:
            self._spans[instance_id] = _Spans(GpmSamples(self._calls, self._device, instance_id, self._clock))
        spans = self._spans[instance_id]
        newest = self._refused or spans.newest(self._clock.monotonic())
        metrics = [metric for reading in readings if not reading.is_total for metric in reading.source]
        means = (
            dict.fromkeys(metrics, newest)
            if isinstance(newest, Reason) or not metrics
            else spans.means(newest, metrics)
        )
        for reading in readings:
            if reading.scope is Scope.LINK:
                for link, metric in enumerate(reading.source):
                    yield Observation(reading, Entity(self._device.gpu, link=link), means[metric])
                continue
            answer: Any = means.get(reading.source[0])
            if reading.is_total:
                answer = newest if isinstance(newest, Reason) else spans.total(newest, reading.source)
            for target in targets:
                yield Observation(reading, target.entity, answer)

    def begin_span(self, readings: tuple[Tracked, ...]) -> None:
        """Let means begin with the sample at which the last answers end."""
        metrics = [metric for reading in readings if not reading.is_total for metric in reading.source]
        for spans in self._spans.values():
            spans.begin_means(metrics)

    def interrupt(self) -> None:
        """Free all samples, so that the next pair starts over."""
        self.close()

    def close(self) -> None:
        """Free all samples."""
        for spans in self._spans.values():
            spans.close()


class _Spans:
    """The spans of one GPU or MIG instance: that of each mean, and that by which each total has grown last."""

    def __init__(self, samples: GpmSamples) -> None:
        self._samples = samples
        self._asked: dict[int, None] = {}
        self._totals: dict[tuple[int, ...], ActiveSeconds] = {}
        self._forget()

    def _forget(self) -> None:
        self._newest: TakenSample | None = None
        self._began: dict[int, TakenSample] = {}
        self._ended: TakenSample | None = None
        self._means: Means = {}
        self._counted: dict[tuple[int, ...], TakenSample] = {}
        self._upto: TakenSample | None = None
        self._found: dict[int, Means] = {}  # up to that, by the id of the sample at which the span begins

    def newest(self, now: float) -> TakenSample | Reason:
        """Return a current sample; if none can be taken, all spans end."""
        if self._newest is not None and now - self._newest.taken < SHORTEST_SPAN_S:
            return self._newest
        kept = (*self._began.values(), self._ended, *self._counted.values())
        sample = self._samples.take({id(one): one for one in kept if one is not None}.values())
        if isinstance(sample, Reason):
            self.close()
        else:
            self._newest = sample
        return sample

    def means(self, newest: TakenSample, metrics: list[int]) -> Means:
        """Return the means up to a sample; the last ones where nothing has passed since."""
        self._asked |= dict.fromkeys(metrics)
        self._began = {metric: self._began.get(metric, newest) for metric in metrics}
        self._ended = newest
        self._means = {
            metric: self._means.get(metric, Reason.NO_SAMPLE_YET)
            if began is newest
            else self._between(began, newest)[metric]
            for metric, began in self._began.items()
        }
        return self._means

    def begin_means(self, metrics: list[int]) -> None:
        """Start the spans of metrics where all ended last."""
        if self._ended is not None:
            self._began |= dict.fromkeys(self._began.keys() & metrics, self._ended)

    def total(self, newest: TakenSample, metrics: tuple[int, ...]) -> ActiveSeconds | Reason:
        """Return what metrics have come to, or the reason that all of them have for none."""
        self._asked |= dict.fromkeys(metrics)
        total, counted = self._totals.get(metrics), self._counted.get(metrics, newest)
        self._counted[metrics] = newest
        if counted is newest:
            return total or Reason.NO_SAMPLE_YET
        found = self._between(counted, newest)
        first, *others = (found[metric] for metric in metrics)
        if isinstance(first, Reason) and all(mean is first for mean in others):
            return (first is Reason.NO_SAMPLE_YET and total) or first
        means = {metric: found[metric] for metric in metrics}
        self._totals[metrics] = grown = (total or ActiveSeconds()).grown(newest.taken - counted.taken, means)
        return grown

    def _between(self, older: TakenSample, newer: TakenSample) -> Means:
        """Return all metrics that were ever asked for, between two samples; one call for means and totals alike."""
        if self._upto is not newer:
            self._upto, self._found = newer, {}
        found = self._found.get(id(older), {})
        if found and self._asked.keys() <= found.keys():
            return found
        ids = tuple(self._asked)
        answers = self._samples.metrics(older, newer, ids)
        each = [answers] * len(ids) if isinstance(answers, Reason) else answers
        self._found[id(older)] = found = dict(zip(ids, each, strict=True))
        return found

    def close(self) -> None:
        """Free all samples; totals stay."""
        self._samples.close()
        self._forget()
