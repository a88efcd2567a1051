"""Snapshots, owners and counters as Prometheus text."""

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import NamedTuple

from exporter.catalogue.reading import OWN
from exporter.counters import Counter, MetricType
from exporter.labels import LabelCache
from exporter.model import Attribution, DeviceSnapshot, Entity, Labels, Sample, Value


class Format(Enum):
    """A text format that Prometheus reads."""

    TEXT = "text/plain; version=0.0.4; charset=utf-8"
    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

    @property
    def content_type(self) -> str:
        """Return the format's Content-Type."""
        return self.value


class Rendering(NamedTuple):
    """Metric families with their finished lines, and when the first of them stops being true."""

    families: list[tuple[Counter, list[str]]]
    expires: float

    def text(self, form: Format) -> str:
        """Return the families with their headers; a page's own end is not included."""
        header = _text_header if form is Format.TEXT else _openmetrics_header
        return "".join(header(counter) + "".join(lines) for counter, lines in self.families)


def render(
    snapshots: Sequence[DeviceSnapshot],
    attribution: Attribution,
    counters: Iterable[Counter],
    cache: LabelCache,
    now: float,
) -> Rendering:
    """Choose the samples that are true at a moment, ready to be written in any format.

    Args:
        snapshots: The newest of each GPU, in the order of their series.
        attribution: Who holds each entity.
        counters: Which fields are printed, under which name, type and help.
        cache: The label blocks; brought up to date.
        now: Monotonic seconds.
    """
    by_field: dict[str, list[Sample]] = {}
    expires = float("inf")
    for snapshot in snapshots:
        if snapshot.expires <= now:
            continue
        expires = min(expires, snapshot.expires)
        for sample in snapshot.samples:
            if sample.expires > now:
                expires = min(expires, sample.expires)
                by_field.setdefault(sample.field, []).append(sample)
    for sample in attribution.info:
        by_field.setdefault(sample.field, []).append(sample)
    ordered = sorted(counters, key=lambda counter: counter.field_id)
    series = [c for c in ordered if c.type is not MetricType.LABEL and c.field in by_field]
    texts = _texts([c for c in ordered if c.type is MetricType.LABEL], by_field)
    entities = {sample.entity for samples in by_field.values() for sample in samples}
    cache.update(entities, texts, attribution.owners)
    families = [(counter, list(_lines(counter, by_field[counter.field], cache))) for counter in series]
    return Rendering(families, expires)


def _texts(counters: Iterable[Counter], by_field: Mapping[str, list[Sample]]) -> dict[Entity, Labels]:
    """Return the label counters' values as labels of their entities."""
    texts: dict[Entity, Labels] = {}
    for counter in counters:
        for sample in by_field.get(counter.field, ()):
            texts[sample.entity] = (*texts.get(sample.entity, ()), (counter.name, _number(sample.value)))
    return texts


def _lines(counter: Counter, samples: Iterable[Sample], cache: LabelCache) -> Iterable[str]:
    is_dcgm = counter.field_id < OWN
    for sample in samples:
        value = _number(sample.value)
        for labels in cache.blocks(sample, names_model=is_dcgm):
            yield f"{counter.name}{{{labels}}} {value}\n"


def _number(value: Value) -> str:
    return value if isinstance(value, str) else repr(value)


def _text_header(counter: Counter) -> str:
    text = counter.help.replace("\\", "\\\\").replace("\n", "\\n")
    return f"# HELP {counter.name} {text}\n# TYPE {counter.name} {_text_type(counter.type)}\n"


def _openmetrics_header(counter: Counter) -> str:
    """Return a header by OpenMetrics' stricter rule: only what ends in _total is a counter."""
    text = counter.help.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
    name, kind = counter.family, "unknown"
    if counter.type is MetricType.GAUGE:
        kind = "gauge"
    elif name != counter.name:
        kind = "counter"
    return f"# HELP {name} {text}\n# TYPE {name} {kind}\n"


def _text_type(declared: MetricType) -> str:
    """Return the type to print: a lone number is no histogram and no summary, and parsers refuse it as one."""
    return declared if declared in {MetricType.GAUGE, MetricType.COUNTER} else MetricType.UNTYPED
