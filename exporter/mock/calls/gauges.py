"""NVML functions that return a current quantity, or one of the last seconds, from the mock."""

# ruff: noqa: N802, N803, D102 - the methods have pynvml's names, and NVIDIA's documentation describes them

import math
from typing import Any

import pynvml

from exporter.mock.calls.library import Library, failure
from exporter.mock.calls.tables import FIRSTS, RINGS
from exporter.mock.machine.device import MockGpu
from exporter.mock.machine.gauges import SAMPLE_PERIOD_S
from exporter.mock.machine.signals import mean

RING_SAMPLES = 71
"""How many samples a ring holds; recorded on an H100."""

_CODEC_PERIOD_US = 100_000


class GaugeCalls:
    """Utilization, framebuffer and rings of samples."""

    def __init__(self, library: Library) -> None:
        self._library = library

    def nvmlDeviceGetUtilizationRates(self, handle: Any) -> Any:
        gpu = self._undivided(handle, "nvmlDeviceGetUtilizationRates")
        return self._library.fill(gpu, "nvmlDeviceGetUtilizationRates", pynvml.c_nvmlUtilization_t())

    def nvmlDeviceGetEncoderUtilization(self, handle: Any) -> list[int]:
        return self._codec(handle, "nvmlDeviceGetEncoderUtilization")

    def nvmlDeviceGetDecoderUtilization(self, handle: Any) -> list[int]:
        return self._codec(handle, "nvmlDeviceGetDecoderUtilization")

    def nvmlDeviceGetMemoryInfo(self, handle: Any, version: int | None = None) -> Any:
        memory = self._library.enter(handle, "nvmlDeviceGetMemoryInfo").gauges.memory
        used = min(round(memory.used.value(self._library.now())), memory.total - memory.reserved)
        if not version:
            info = pynvml.c_nvmlMemory_t()
            info.used = memory.reserved + used
        elif version == pynvml.nvmlMemory_v2:
            info = pynvml.c_nvmlMemory_v2_t()
            info.version, info.reserved, info.used = version, memory.reserved, used
        else:
            raise failure(pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH)
        info.total, info.free = memory.total, memory.total - memory.reserved - used
        return info

    def nvmlDeviceGetGridLicensableFeatures(self, handle: Any) -> Any:
        self._library.enter_gpu(handle, "nvmlDeviceGetGridLicensableFeatures")
        return pynvml.c_nvmlGridLicensableFeatures_v4_t()

    def nvmlDeviceGetSamples(self, device: Any, sampling_type: int, timeStamp: int) -> tuple[int, list[Any]]:
        gpu = self._undivided(device, "nvmlDeviceGetSamples")
        if sampling_type not in RINGS:
            raise failure(pynvml.NVML_ERROR_NOT_SUPPORTED)
        samples = self._samples(gpu, RINGS[sampling_type], timeStamp)
        if not samples:
            raise failure(pynvml.NVML_ERROR_NOT_FOUND)
        return pynvml.NVML_VALUE_TYPE_UNSIGNED_INT, samples

    def _samples(self, gpu: MockGpu, quantity: str, since_us: int) -> list[Any]:
        """Return the samples newer than a time of the driver's clock, oldest first."""
        signal = gpu.gauges.sampled.get(quantity)
        if signal is None:
            raise failure(pynvml.NVML_ERROR_NOT_SUPPORTED)
        newest = math.floor(self._library.now() / SAMPLE_PERIOD_S)
        samples = []
        for number in range(newest - RING_SAMPLES, newest):
            start, end = number * SAMPLE_PERIOD_S, (number + 1) * SAMPLE_PERIOD_S
            taken_us = self._library.driver_us(end)
            if taken_us > since_us:
                sample = pynvml.c_nvmlSample_t()
                sample.timeStamp = taken_us
                sample.sampleValue.uiVal = round(mean(signal, start, end))
                samples.append(sample)
        return samples

    def _codec(self, handle: Any, function: str) -> list[int]:
        return [self._library.read(self._undivided(handle, function), FIRSTS[function]), _CODEC_PERIOD_US]

    def _undivided(self, handle: Any, function: str) -> MockGpu:
        """Return a GPU on which MIG is off: NVML has no utilization of others."""
        gpu = self._library.enter_gpu(handle, function)
        if gpu.is_mig_on:
            raise failure(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return gpu
