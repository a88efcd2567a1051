"""A log of what NVML says, taken beside the exporter and without any of its code."""

import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import pynvml


class Truth(NamedTuple):
    """How to read one default counter straight from NVML, in DCGM's unit, and how far the exporter may be off.

    The exporter's value must lie between the smallest and the largest value that NVML gave around the moment of its
    snapshot, widened by `tolerance` (absolute) and `relative` (of the largest value), for the reason `why`.
    """

    counter: str
    read: Callable[[Any], float]
    tolerance: float = 0.0
    relative: float = 0.0
    why: str = ""


def _field(number: int) -> Callable[[Any], float]:
    def read(handle: Any) -> float:
        answer = pynvml.nvmlDeviceGetFieldValues(handle, [number])[0]
        if answer.nvmlReturn:
            raise pynvml.NVMLError(answer.nvmlReturn)
        return float(
            answer.value.ullVal if answer.valueType == pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG else answer.value.uiVal
        )

    return read


def _memory(name: str) -> Callable[[Any], float]:
    def read(handle: Any) -> float:
        return float(getattr(pynvml.nvmlDeviceGetMemoryInfo(handle, pynvml.nvmlMemory_v2), name) // 2**20)

    return read


def _rates(name: str) -> Callable[[Any], float]:
    return lambda handle: float(getattr(pynvml.nvmlDeviceGetUtilizationRates(handle), name))


_STEPS = "the clock moves in steps of 15 MHz between two readings"
_ALIAS = "an instant value, which changes between two readings"
TRUTHS = (
    Truth(
        "DCGM_FI_DEV_SM_CLOCK", lambda h: float(pynvml.nvmlDeviceGetClockInfo(h, pynvml.NVML_CLOCK_SM)), 30, 0, _STEPS
    ),
    Truth("DCGM_FI_DEV_MEM_CLOCK", lambda h: float(pynvml.nvmlDeviceGetClockInfo(h, pynvml.NVML_CLOCK_MEM))),
    Truth("DCGM_FI_DEV_MEMORY_TEMP", _field(pynvml.NVML_FI_DEV_MEMORY_TEMP), 1, 0, "read between two log entries"),
    Truth(
        "DCGM_FI_DEV_GPU_TEMP",
        lambda h: float(pynvml.nvmlDeviceGetTemperature(h, pynvml.NVML_TEMPERATURE_GPU)),
        1,
        0,
        "read between two log entries",
    ),
    Truth(
        "DCGM_FI_DEV_POWER_USAGE",
        lambda h: pynvml.nvmlDeviceGetPowerUsage(h) / 1000,
        0,
        0.02,
        "read between two log entries",
    ),
    Truth("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", _field(pynvml.NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION)),
    Truth("DCGM_FI_DEV_PCIE_REPLAY_COUNTER", lambda h: float(pynvml.nvmlDeviceGetPcieReplayCounter(h))),
    Truth("DCGM_FI_DEV_GPU_UTIL", _rates("gpu"), 1, 0, _ALIAS),
    Truth("DCGM_FI_DEV_MEM_COPY_UTIL", _rates("memory"), 1, 0, _ALIAS),
    Truth("DCGM_FI_DEV_ENC_UTIL", lambda h: float(pynvml.nvmlDeviceGetEncoderUtilization(h)[0])),
    Truth("DCGM_FI_DEV_DEC_UTIL", lambda h: float(pynvml.nvmlDeviceGetDecoderUtilization(h)[0])),
    Truth("DCGM_FI_DEV_FB_FREE", _memory("free")),
    Truth("DCGM_FI_DEV_FB_USED", _memory("used")),
    Truth("DCGM_FI_DEV_FB_RESERVED", _memory("reserved")),
    Truth("DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS", _field(pynvml.NVML_FI_DEV_REMAPPED_UNC)),
    Truth("DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS", _field(pynvml.NVML_FI_DEV_REMAPPED_COR)),
    Truth("DCGM_FI_DEV_ROW_REMAP_FAILURE", _field(pynvml.NVML_FI_DEV_REMAPPED_FAILURE)),
    Truth(
        "DCGM_FI_DEV_VGPU_LICENSE_STATUS",
        lambda h: float(pynvml.nvmlDeviceGetGridLicensableFeatures(h).isGridLicenseSupported),
    ),
)

PROFILING = {
    "DCGM_FI_PROF_GR_ENGINE_ACTIVE": (pynvml.NVML_GPM_METRIC_GRAPHICS_UTIL, 0.01, 0.03, 0.0),
    "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE": (pynvml.NVML_GPM_METRIC_ANY_TENSOR_UTIL, 0.01, 0.03, 0.0),
    "DCGM_FI_PROF_DRAM_ACTIVE": (pynvml.NVML_GPM_METRIC_DRAM_BW_UTIL, 0.01, 0.02, 0.0),
    "DCGM_FI_PROF_PCIE_TX_BYTES": (pynvml.NVML_GPM_METRIC_PCIE_TX_PER_SEC, 2.0**20, 2.0**21, 0.5),
    "DCGM_FI_PROF_PCIE_RX_BYTES": (pynvml.NVML_GPM_METRIC_PCIE_RX_PER_SEC, 2.0**20, 2.0**21, 0.5),
}
"""Metric, factor to DCGM's unit, absolute and relative tolerance: two windows of a second are not the same one."""


class NvmlLog:
    """Reads every truth about eight times a second, and GPM over windows of a second, on a thread of its own."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self._entries: list[tuple[float, str, float]] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=f, daemon=True) for f in (self._read_values, self._read_gpm)]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """End the threads."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def around(self, counter: str, moment: float, before_s: float, after_s: float) -> list[float]:
        """Return the values read around a moment, seconds of the epoch."""
        return [v for at, name, v in list(self._entries) if name == counter and -before_s <= at - moment <= after_s]

    def _read_values(self) -> None:
        while not self._stop.wait(0.1):
            for truth in TRUTHS:
                self._entries.append((time.time(), truth.counter, truth.read(self._handle)))

    def _read_gpm(self) -> None:
        older = pynvml.nvmlGpmSampleGet(self._handle, pynvml.nvmlGpmSampleAlloc())
        while not self._stop.wait(1.0):
            newer = pynvml.nvmlGpmSampleGet(self._handle, pynvml.nvmlGpmSampleAlloc())
            request = pynvml.c_nvmlGpmMetricsGet_t()
            request.version = pynvml.NVML_GPM_METRICS_GET_VERSION
            request.numMetrics = len(PROFILING)
            request.sample1, request.sample2 = older, newer
            for i, (metric, *_) in enumerate(PROFILING.values()):
                request.metrics[i].metricId = metric
            pynvml.nvmlGpmMetricsGet(request)
            for i, (name, (_, factor, *_)) in enumerate(PROFILING.items()):
                self._entries.append((time.time(), name, request.metrics[i].value * factor))
            pynvml.nvmlGpmSampleFree(older)
            older = newer
