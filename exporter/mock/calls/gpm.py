"""GPU performance monitoring, as the mock has it: each metric is the mean between two samples."""

# ruff: noqa: N802, N803, D102 - the methods have pynvml's names, and NVIDIA's documentation describes them

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pynvml

from exporter.mock.calls.library import Library, Pointers, failure
from exporter.mock.machine.device import MockGpu
from exporter.mock.machine.signals import Signal, mean

SHORTEST_S = 0.05
"""Samples closer than this give no number; on an H100 20 ms gave NaN, 50 ms sometimes, 80 ms never."""


@dataclass(slots=True)
class _GpmSample:
    """What a sample buffer holds: when and from whom it was filled, and what that one answers; nothing at first."""

    t: float = math.nan
    owner: tuple[MockGpu, int | None] | None = None
    metrics: Mapping[int, Signal] = field(default_factory=dict)


class GpmCalls:
    """Samples of a GPU or a GPU instance, and the metrics between two of them."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._samples: Pointers[_GpmSample] = library.pointers(pynvml.c_nvmlGpmSample_t)

    def nvmlGpmQueryDeviceSupport(self, device: Any) -> Any:
        target = self._library.enter(device, "nvmlGpmQueryDeviceSupport")
        support = pynvml.c_nvmlGpmSupport_t()
        support.version = pynvml.NVML_GPM_SUPPORT_VERSION
        support.isSupportedDevice = target.gpu.profile.has_gpm
        return support

    def nvmlGpmSampleAlloc(self) -> Any:
        self._library.check()
        return self._samples.give(_GpmSample())

    def nvmlGpmSampleFree(self, gpmSample: Any) -> None:
        self._library.check()
        self._samples.take_back(gpmSample)

    def nvmlGpmSampleGet(self, device: Any, gpmSample: Any) -> Any:
        gpu = self._monitored(device, "nvmlGpmSampleGet")
        return self._fill(gpmSample, (gpu, None), gpu.gauges.gpm)

    def nvmlGpmMigSampleGet(self, device: Any, gpuInstanceId: int, gpmSample: Any) -> Any:
        gpu = self._monitored(device, "nvmlGpmMigSampleGet")
        for instance in gpu.instances:
            if instance.gpu_instance_id == gpuInstanceId:
                return self._fill(gpmSample, (gpu, gpuInstanceId), instance.gauges.gpm)
        raise failure(pynvml.NVML_ERROR_INVALID_ARGUMENT)

    def nvmlGpmMetricsGet(self, metricsGet: Any) -> Any:
        self._library.check()
        if metricsGet.version != pynvml.NVML_GPM_METRICS_GET_VERSION:
            raise failure(pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH)
        older, newer = self._samples.find(metricsGet.sample1), self._samples.find(metricsGet.sample2)
        if newer.owner is None or older.owner != newer.owner or metricsGet.numMetrics > len(metricsGet.metrics):
            raise failure(pynvml.NVML_ERROR_INVALID_ARGUMENT)
        newer.owner[0].costs.pay("nvmlGpmMetricsGet")
        is_sound = newer.t - older.t >= SHORTEST_S
        for number in range(metricsGet.numMetrics):
            metric = metricsGet.metrics[number]
            signal = newer.metrics.get(metric.metricId)
            if signal is None:
                metric.nvmlReturn = pynvml.NVML_ERROR_INVALID_ARGUMENT
                continue
            metric.nvmlReturn = pynvml.NVML_SUCCESS
            # an area is a difference of sums, and rounding may leave less than nothing of it
            metric.value = max(mean(signal, older.t, newer.t), 0.0) if is_sound else math.nan
        return metricsGet

    def _monitored(self, device: Any, function: str) -> MockGpu:
        gpu = self._library.enter_gpu(device, function)
        if not gpu.profile.has_gpm:
            raise failure(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return gpu

    def _fill(self, pointer: Any, owner: tuple[MockGpu, int | None], metrics: Mapping[int, Signal]) -> Any:
        sample = self._samples.find(pointer)
        sample.t, sample.owner, sample.metrics = self._library.now(), owner, metrics
        return pointer
