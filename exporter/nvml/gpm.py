"""GPU performance monitoring: metrics are means between two samples of the same GPU or MIG instance."""

from typing import Any

from pynvml import NVML_GPM_METRICS_GET_VERSION, NVML_SUCCESS, c_nvmlGpmMetricsGet_t

from exporter.model import Clock, Reason
from exporter.nvml.calls import REASONS, Calls, plain
from exporter.nvml.entities import Device


def why_no_gpm(calls: Calls, device: Device) -> Reason | None:
    """Return why a GPU has no GPM, which only Hopper and newer have, or None where it has.

    Source: nvmlGpmQueryDeviceSupport.
    """
    support = calls("nvmlGpmQueryDeviceSupport", device.handle)
    if isinstance(support, Reason):
        return support
    return None if support.isSupportedDevice else Reason.NOT_SUPPORTED


class SamplePair:
    """The newest two samples of one GPU, or of one of its MIG instances.

    Attributes:
        span_s: Seconds between the two, by our monotonic clock: NVML does not tell.
    """

    def __init__(self, calls: Calls, device: Device, gpu_instance_id: int | None, clock: Clock) -> None:
        self.span_s = 0.0
        self._calls = calls
        self._device = device
        self._instance = gpu_instance_id
        self._clock = clock
        self._taken = 0.0
        self._older: Any = None
        self._newer: Any = None
        self._request = c_nvmlGpmMetricsGet_t()
        self._request.version = NVML_GPM_METRICS_GET_VERSION
        self._ids: tuple[int, ...] = ()
        self._metrics: list[Any] = []

    def advance(self) -> Reason | None:
        """Take one more sample; the newer of the pair becomes the older.

        Returns:
            The reason why the pair is incomplete, or None. A sample that failed empties the pair.

        Source: nvmlGpmSampleGet, nvmlGpmMigSampleGet.
        """
        sample = self._older if self._older is not None else self._calls("nvmlGpmSampleAlloc")
        if isinstance(sample, Reason):
            return sample
        self._older, self._newer = self._newer, None
        taken, self._taken = self._taken, self._clock.monotonic()
        self.span_s = self._taken - taken
        if self._instance is None:
            answer = self._calls("nvmlGpmSampleGet", self._device.handle, sample)
        else:
            answer = self._calls("nvmlGpmMigSampleGet", self._device.handle, self._instance, sample)
        if isinstance(answer, Reason):
            self._calls("nvmlGpmSampleFree", sample)
            self.close()
            return answer
        self._newer = sample
        return None if self._older is not None else Reason.NO_SAMPLE_YET

    def metrics(self, ids: tuple[int, ...]) -> list[float | Reason] | Reason:
        """Compute metrics between the two samples.

        Args:
            ids: NVML_GPM_METRIC_* numbers.

        Returns:
            One answer for each id, in NVML's unit (percent, MiB/s), or one reason for all.

        Source: nvmlGpmMetricsGet.
        """
        if ids != self._ids:
            self._ask_for(ids)
        self._request.sample1, self._request.sample2 = self._older, self._newer
        answer = self._calls("nvmlGpmMetricsGet", self._request)
        if isinstance(answer, Reason):
            return answer
        return [
            metric.value if metric.nvmlReturn == NVML_SUCCESS else REASONS.get(metric.nvmlReturn, Reason.UNKNOWN)
            for metric in self._metrics
        ]

    def _ask_for(self, ids: tuple[int, ...]) -> None:
        """Write metrics into the request; they stay there, as each write costs a microsecond."""
        self._ids = ids
        self._request.numMetrics = len(ids)
        self._metrics = plain(self._request.metrics)[: len(ids)]
        for metric, metric_id in zip(self._metrics, ids, strict=True):
            metric.metricId = metric_id

    def close(self) -> None:
        """Give both samples back to the driver."""
        for sample in (self._older, self._newer):
            if sample is not None:
                self._calls("nvmlGpmSampleFree", sample)
        self._older = self._newer = None
