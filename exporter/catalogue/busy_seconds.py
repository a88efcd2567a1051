"""Busy seconds: for how long a part of a GPU was busy, beside for how long that was seen, as counters.

Our own series, which no counters file asks for. The quotient of two such counters is the true mean over any window,
however seldom they are read.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import pynvml

from exporter.catalogue.convert import Convert, of_number
from exporter.catalogue.reading import OWN, RING, SLOW, Field, Scope, Tracked, Tracker
from exporter.counters import Counter, MetricType
from exporter.model import Reason, Value
from exporter.settings import BusySource

_RINGS = {
    BusySource.GPU: (pynvml.NVML_GPU_UTILIZATION_SAMPLES, "", "a kernel or a copy ran"),
    BusySource.MEMORY: (pynvml.NVML_MEMORY_UTILIZATION_SAMPLES, "memory_", "the framebuffer was read or written"),
    BusySource.ENCODER: (pynvml.NVML_ENC_UTILIZATION_SAMPLES, "encoder_", "the encoder was busy"),
    BusySource.DECODER: (pynvml.NVML_DEC_UTILIZATION_SAMPLES, "decoder_", "the decoder was busy"),
}
"""The driver's ring, its part of the series' names, and when it counts."""

_UNITS = {
    pynvml.NVML_GPM_METRIC_GRAPHICS_UTIL: ("graphics", "the graphics or compute engine was active"),
    pynvml.NVML_GPM_METRIC_SM_UTIL: ("sm", "warps were resident, mean over all SMs"),
    pynvml.NVML_GPM_METRIC_ANY_TENSOR_UTIL: ("tensor", "tensor cores were active, mean over all"),
    pynvml.NVML_GPM_METRIC_DRAM_BW_UTIL: ("dram", "the memory transferred data, as a share of its bandwidth"),
}
"""GPM's metrics: their part of the series' names, and when they count."""


def _counter(name: str, text: str) -> Counter:
    full = f"gpu_exporter_{name}_seconds_total"
    return Counter(full, full, OWN, MetricType.COUNTER, text)


_microseconds = of_number(lambda seconds: round(float(seconds), 6))


def _seconds(name: str) -> Convert:
    """Make a conversion of a member of a tracker's answer."""
    return lambda answer: _microseconds(getattr(answer, name))


def _active_seconds(metric: int) -> Convert:
    def convert(answer: Any) -> Value | Reason:
        if metric in answer.active_s:
            return _microseconds(answer.active_s[metric])
        return Reason.NOT_SUPPORTED if answer.observed_s else Reason.NO_SAMPLE_YET

    return convert


def _ring_counters(source: BusySource) -> tuple[Counter, Counter]:
    _, part, when = _RINGS[source]
    return (
        _counter(f"{part}busy", f"Seconds in which {when}, from the driver's samples."),
        _counter(f"{part}observed", f"Seconds covered by the samples of {part}busy_seconds."),
    )


_ACTIVE = {
    metric: _counter(f"{part}_active", f"Seconds in which {when}, from GPM.") for metric, (part, when) in _UNITS.items()
}
_OBSERVED = _counter("profiling_observed", "Seconds covered by the samples of graphics_, sm_, tensor_ and dram_active.")

SERIES: Mapping[BusySource, tuple[Counter, ...]] = {
    **{source: _ring_counters(source) for source in _RINGS},
    BusySource.PROFILING: (*_ACTIVE.values(), _OBSERVED),
}
"""The counters of each source."""


def series(sources: Collection[BusySource]) -> Iterator[Counter]:
    """Yield the counters of some sources."""
    for source, counters in SERIES.items():
        if source in sources:
            yield from counters


def _ring_reading(source: BusySource) -> Tracked:
    busy, observed = _ring_counters(source)
    fields = (Field(busy.field, _seconds("busy_s")), Field(observed.field, _seconds("observed_s")))
    return Tracked(Tracker.RINGS, _RINGS[source][:1], fields, period=RING, accumulates=True, is_total=True)


READINGS = (
    *map(_ring_reading, _RINGS),
    Tracked(
        Tracker.GPM,
        tuple(_ACTIVE),
        (
            *(Field(counter.field, _active_seconds(metric)) for metric, counter in _ACTIVE.items()),
            Field(_OBSERVED.field, _seconds("observed_s")),
        ),
        Scope.INSTANCE,
        SLOW,
        accumulates=True,
        is_total=True,
    ),
)
