"""GPU performance monitoring: metrics are means between two samples of the same GPU or MIG instance."""

from collections.abc import Collection
from typing import Any, NamedTuple

from pynvml import NVML_GPM_METRICS_GET_VERSION, NVML_SUCCESS, c_nvmlGpmMetricsGet_t

from exporter.model import Clock, Reason
from exporter.nvml.answers import REASONS, plain
from exporter.nvml.calls import Calls
from exporter.nvml.entities import Device


def why_no_gpm(calls: Calls, device: Device) -> Reason | None:
    """Return why a GPU has no GPM, which only Hopper and newer have, or None where it has.

    Source: nvmlGpmQueryDeviceSupport.
    """
    support = calls("nvmlGpmQueryDeviceSupport", device.handle)
    if isinstance(support, Reason):
        return support
    return None if support.isSupportedDevice else Reason.NOT_SUPPORTED


class TakenSample(NamedTuple):
    """The driver's counters at one moment of our monotonic clock: NVML does not tell when that was."""

    handle: Any
    taken: float


class GpmSamples:
    """Samples of one GPU, or of one of its MIG instances, in memory that is used again."""

    def __init__(self, calls: Calls, device: Device, gpu_instance_id: int | None, clock: Clock) -> None:
        self._calls = calls
        self._device = device
        self._instance = gpu_instance_id
        self._clock = clock
        self._handles: list[Any] = []
        self._requests: dict[tuple[int, ...], _MetricsRequest] = {}

    def take(self, kept: Collection[TakenSample]) -> TakenSample | Reason:
        """Take a sample, over any that is not to be kept, or say why there is none.

        Source: nvmlGpmSampleGet, nvmlGpmMigSampleGet.
        """
        in_use = [sample.handle for sample in kept]
        free = [handle for handle in self._handles if not any(handle is used for used in in_use)]
        handle = free[0] if free else self._calls("nvmlGpmSampleAlloc")
        if isinstance(handle, Reason):
            return handle
        if not free:
            self._handles.append(handle)
        taken = self._clock.monotonic()
        if self._instance is None:
            answer = self._calls("nvmlGpmSampleGet", self._device.handle, handle)
        else:
            answer = self._calls("nvmlGpmMigSampleGet", self._device.handle, self._instance, handle)
        return answer if isinstance(answer, Reason) else TakenSample(handle, taken)

    def metrics(self, older: TakenSample, newer: TakenSample, ids: tuple[int, ...]) -> list[float | Reason] | Reason:
        """Compute metrics between two samples.

        Args:
            older: Where the span begins.
            newer: Where it ends.
            ids: NVML_GPM_METRIC_* numbers.

        Returns:
            One answer for each id, in NVML's unit (percent, MiB/s), or one reason for all.

        Source: nvmlGpmMetricsGet.
        """
        if ids not in self._requests:
            self._requests = {ids: _request(ids)}
        call, metrics = self._requests[ids]
        call.sample1, call.sample2 = older.handle, newer.handle
        answer = self._calls("nvmlGpmMetricsGet", call)
        if isinstance(answer, Reason):
            return answer
        return [
            metric.value if metric.nvmlReturn == NVML_SUCCESS else REASONS.get(metric.nvmlReturn, Reason.UNKNOWN)
            for metric in metrics
        ]

    def close(self) -> None:
        """Give the memory of all samples back to the driver."""
        for handle in self._handles:
            self._calls("nvmlGpmSampleFree", handle)
        self._handles = []


class _MetricsRequest(NamedTuple):
    """What nvmlGpmMetricsGet takes, and its metrics; they stay there, as each write costs a microsecond."""

    call: Any
    metrics: list[Any]


def _request(ids: tuple[int, ...]) -> _MetricsRequest:
    call = c_nvmlGpmMetricsGet_t()
    call.version, call.numMetrics = NVML_GPM_METRICS_GET_VERSION, len(ids)
    metrics = plain(call.metrics)[: len(ids)]
    for metric, metric_id in zip(metrics, ids, strict=True):
        metric.metricId = metric_id
    return _MetricsRequest(call, metrics)
