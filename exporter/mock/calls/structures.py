"""NVML functions that answer by a structure, as the mock has them."""

# ruff: noqa: N802, N803, D102 - the methods have pynvml's names, and NVIDIA's documentation describes them

from typing import Any
from uuid import UUID

import pynvml

from exporter.mock.calls.library import Library, failure
from exporter.mock.machine.device import MockGpu

FABRIC_VERSIONS = frozenset({pynvml.nvmlGpuFabricInfo_v2, pynvml.nvmlGpuFabricInfo_v3})

NOWHERE = "00000000-0000-0000-0000-000000000000"
"""The cluster of a GPU that has joined none, or one within its own machine."""


class StructureCalls:
    """Memory that PCIe maps, fabric, platform, error states, and what of confidential computing is on."""

    def __init__(self, library: Library) -> None:
        self._library = library

    def nvmlDeviceGetBAR1MemoryInfo(self, handle: Any) -> Any:
        gpu = self._library.enter(handle, "nvmlDeviceGetBAR1MemoryInfo").gpu
        info = self._library.fill(gpu, "nvmlDeviceGetBAR1MemoryInfo", pynvml.c_nvmlBAR1Memory_t())
        info.bar1Free = info.bar1Total - info.bar1Used
        return info

    def nvmlDeviceGetRowRemapperHistogram(self, device: Any) -> Any:
        gpu = self._library.enter_gpu(device, "nvmlDeviceGetRowRemapperHistogram")
        histogram = pynvml.c_nvmlRowRemapperHistogramValues()
        return self._library.fill(gpu, "nvmlDeviceGetRowRemapperHistogram", histogram)

    def nvmlDeviceGetSramEccErrorStatus(self, device: Any, status: Any) -> int:
        self._fill(device, "nvmlDeviceGetSramEccErrorStatus", status, frozenset({pynvml.nvmlEccSramErrorStatus_v1}))
        return int(pynvml.NVML_SUCCESS)

    def nvmlDeviceGetGpuFabricInfoV(self, device: Any, gpuFabricInfo: Any) -> int:
        gpu, info = self._fill(device, "nvmlDeviceGetGpuFabricInfoV", gpuFabricInfo, FABRIC_VERSIONS)
        info.clusterUuid = type(info.clusterUuid)(*UUID(gpu.profile.texts.get("cluster_uuid", NOWHERE)).bytes)
        return int(pynvml.NVML_SUCCESS)

    def nvmlDeviceGetPlatformInfo(self, device: Any, platformInfo: Any) -> int:
        self._fill(device, "nvmlDeviceGetPlatformInfo", platformInfo, frozenset({pynvml.nvmlPlatformInfo_v2}))
        return int(pynvml.NVML_SUCCESS)

    def nvmlSystemGetConfComputeState(self) -> Any:
        """Answer what the first GPU is set to: the state is the machine's."""
        self._library.check()
        state = pynvml.c_nvmlConfComputeSystemState_t()
        for gpu in self._library.gpus[:1]:
            self._library.fill(gpu, "nvmlSystemGetConfComputeState", state)
        return state

    def _fill(self, device: Any, function: str, reference: Any, versions: frozenset[int]) -> tuple[MockGpu, Any]:
        """Fill a GPU's structure that ctypes.byref refers to, if it is of a version that is known."""
        gpu = self._library.enter_gpu(device, function)
        return gpu, self._library.fill(gpu, function, _structure(reference, versions))


def _structure(reference: Any, versions: frozenset[int]) -> Any:
    """Return the structure that ctypes.byref refers to, if it is of a version that is known.

    Raises:
        NVMLError: ARGUMENT_VERSION_MISMATCH.
    """
    structure = getattr(reference, "_obj", reference)
    if structure.version not in versions:
        raise failure(pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH)
    return structure
