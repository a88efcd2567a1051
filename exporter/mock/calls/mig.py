"""NVML functions about MIG, as the mock has them. No MIG hardware was at hand: NVIDIA's documentation is the source."""

# ruff: noqa: N802, D102 - the methods have pynvml's names, and NVIDIA's documentation describes them

from typing import Any

import pynvml

from exporter.mock.calls.library import Library, MockDevice, failure
from exporter.mock.machine.placement import COMPUTE_SLICES


class MigCalls:
    """The MIG mode, the MIG devices of a GPU, and what only they have."""

    def __init__(self, library: Library) -> None:
        self._library = library

    def nvmlDeviceGetMigMode(self, device: Any) -> list[int]:
        gpu = self._library.enter_gpu(device, "nvmlDeviceGetMigMode")
        if not gpu.profile.has_mig:
            raise failure(pynvml.NVML_ERROR_NOT_SUPPORTED)
        mode = pynvml.NVML_DEVICE_MIG_ENABLE if gpu.is_mig_on else pynvml.NVML_DEVICE_MIG_DISABLE
        return [mode, mode]

    def nvmlDeviceGetMaxMigDeviceCount(self, device: Any) -> int:
        gpu = self._library.enter_gpu(device, "nvmlDeviceGetMaxMigDeviceCount")
        return COMPUTE_SLICES if gpu.is_mig_on else 0

    def nvmlDeviceGetMigDeviceHandleByIndex(self, device: Any, index: int) -> Any:
        gpu = self._library.enter_gpu(device, "nvmlDeviceGetMigDeviceHandleByIndex")
        if not 0 <= index < len(gpu.instances):
            raise failure(pynvml.NVML_ERROR_NOT_FOUND)
        return self._library.handles[MockDevice(gpu, gpu.instances[index])]

    def nvmlDeviceGetGpuInstanceId(self, device: Any) -> int:
        instance = self._library.enter(device, "nvmlDeviceGetGpuInstanceId").instance
        if instance is None:
            raise failure(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return instance.gpu_instance_id
