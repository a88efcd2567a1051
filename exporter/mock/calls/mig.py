"""NVML functions about MIG, as the mock has them. No MIG hardware was at hand: NVIDIA's documentation is the source."""

# ruff: noqa: N802, N803, D102 - the methods have pynvml's names, and NVIDIA's documentation describes them

from ctypes import c_uint
from typing import Any

import pynvml

from exporter.mock.calls.library import Library, MockDevice, failure
from exporter.mock.machine.device import MockInstance
from exporter.mock.machine.placement import COMPUTE_SLICES


class MigCalls:
    """The MIG mode, the MIG devices of a GPU, and what only they have."""

    def __init__(self, library: Library) -> None:
        self._library = library

    def nvmlDeviceGetMigMode(self, device: Any) -> list[int]:
        gpu = self._library.enter_gpu(device, "nvmlDeviceGetMigMode")
        if not gpu.profile.mig:
            raise failure(pynvml.NVML_ERROR_NOT_SUPPORTED)
        mode = pynvml.NVML_DEVICE_MIG_ENABLE if gpu.is_divided else pynvml.NVML_DEVICE_MIG_DISABLE
        return [mode, mode]

    def nvmlDeviceGetMaxMigDeviceCount(self, device: Any) -> int:
        gpu = self._library.enter_gpu(device, "nvmlDeviceGetMaxMigDeviceCount")
        return COMPUTE_SLICES if gpu.is_divided else 0

    def nvmlDeviceGetMigDeviceHandleByIndex(self, device: Any, index: int) -> Any:
        gpu = self._library.enter_gpu(device, "nvmlDeviceGetMigDeviceHandleByIndex")
        if not 0 <= index < len(gpu.instances):
            raise failure(pynvml.NVML_ERROR_NOT_FOUND)
        return self._library.handles[MockDevice(gpu, gpu.instances[index])]

    def nvmlDeviceGetDeviceHandleFromMigDeviceHandle(self, migDevice: Any) -> Any:
        target = self._library.enter(migDevice, "nvmlDeviceGetDeviceHandleFromMigDeviceHandle")
        if target.instance is None:
            raise failure(pynvml.NVML_ERROR_INVALID_ARGUMENT)
        return self._library.handles[MockDevice(target.gpu, None)]

    def nvmlDeviceIsMigDeviceHandle(self, device: Any) -> Any:
        target = self._library.enter(device, "nvmlDeviceIsMigDeviceHandle")
        return c_uint(target.instance is not None)

    def nvmlDeviceGetGpuInstanceId(self, device: Any) -> int:
        return self._instance(device, "nvmlDeviceGetGpuInstanceId").gpu_instance_id

    def nvmlDeviceGetComputeInstanceId(self, device: Any) -> int:
        return self._instance(device, "nvmlDeviceGetComputeInstanceId").compute_instance_id

    def nvmlDeviceGetAttributes(self, device: Any) -> Any:
        return self._attributes(device, "nvmlDeviceGetAttributes")

    def nvmlDeviceGetAttributes_v2(self, device: Any) -> Any:
        return self._attributes(device, "nvmlDeviceGetAttributes_v2")

    def _attributes(self, device: Any, function: str) -> Any:
        instance = self._instance(device, function)
        attributes = pynvml.c_nvmlDeviceAttributes()
        attributes.multiprocessorCount = (
            instance.profile.multiprocessors * instance.compute_slices // instance.profile.slices
        )
        attributes.sharedCopyEngineCount = instance.profile.slices
        attributes.sharedDecoderCount = instance.profile.decoders
        attributes.gpuInstanceSliceCount = instance.profile.slices
        attributes.computeInstanceSliceCount = instance.compute_slices
        attributes.memorySizeMB = instance.profile.memory_mib
        return attributes

    def _instance(self, device: Any, function: str) -> MockInstance:
        instance = self._library.enter(device, function).instance
        if instance is None:
            raise failure(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return instance
