"""NVML functions that answer by a structure, as the mock has them."""

# ruff: noqa: N802, N803, D102 - the methods have pynvml's names, and NVIDIA's documentation describes them

from typing import Any
from uuid import UUID

import pynvml

from exporter.mock.calls.library import Library, failure

FABRIC_VERSIONS = frozenset({pynvml.nvmlGpuFabricInfo_v2, pynvml.nvmlGpuFabricInfo_v3})

NOWHERE = "00000000-0000-0000-0000-000000000000"
"""The cluster of a GPU that has joined none, or one within its own machine."""

PLATFORM = {
    "slotNumber": "platform_slot",
    "trayIndex": "platform_tray",
    "hostId": "platform_host",
    "peerType": "platform_peer_type",
    "moduleId": "platform_module",
}


class StructureCalls:
    """Memory that PCIe maps, fabric, platform, error states, and what of confidential computing is on."""

    def __init__(self, library: Library) -> None:
        self._library = library

    def nvmlDeviceGetBAR1MemoryInfo(self, handle: Any) -> Any:
        target = self._library.enter(handle, "nvmlDeviceGetBAR1MemoryInfo")
        info = pynvml.c_nvmlBAR1Memory_t()
        info.bar1Total = self._library.read(target.gpu, "bar1_total_bytes")
        info.bar1Used = self._library.read(target.gpu, "bar1_used_bytes")
        info.bar1Free = info.bar1Total - info.bar1Used
        return info

    def nvmlDeviceGetRowRemapperHistogram(self, device: Any) -> Any:
        gpu = self._library.enter_gpu(device, "nvmlDeviceGetRowRemapperHistogram")
        histogram = pynvml.c_nvmlRowRemapperHistogramValues()
        for level in ("max", "high", "partial", "low", "none"):
            setattr(histogram, level, self._library.read(gpu, f"banks_remap_available_{level}"))
        return histogram

    def nvmlDeviceGetSramEccErrorStatus(self, device: Any, status: Any) -> int:
        gpu = self._library.enter_gpu(device, "nvmlDeviceGetSramEccErrorStatus")
        filled = _structure(status, frozenset({pynvml.nvmlEccSramErrorStatus_v1}))
        filled.bThresholdExceeded = self._library.read(gpu, "sram_threshold_exceeded")
        return int(pynvml.NVML_SUCCESS)

    def nvmlDeviceGetGpuFabricInfoV(self, device: Any, gpuFabricInfo: Any) -> int:
        gpu = self._library.enter_gpu(device, "nvmlDeviceGetGpuFabricInfoV")
        info = _structure(gpuFabricInfo, FABRIC_VERSIONS)
        info.state = self._library.read(gpu, "fabric_state")
        info.status = self._library.read(gpu, "fabric_status")
        info.cliqueId = self._library.read(gpu, "fabric_clique")
        info.healthMask = self._library.read(gpu, "fabric_health_mask")
        info.clusterUuid = type(info.clusterUuid)(*UUID(gpu.profile.texts.get("cluster_uuid", NOWHERE)).bytes)
        if info.version == pynvml.nvmlGpuFabricInfo_v3:
            info.healthSummary = self._library.read(gpu, "fabric_health_summary")
        return int(pynvml.NVML_SUCCESS)

    def nvmlDeviceGetPlatformInfo(self, device: Any, platformInfo: Any) -> int:
        gpu = self._library.enter_gpu(device, "nvmlDeviceGetPlatformInfo")
        info = _structure(platformInfo, frozenset({pynvml.nvmlPlatformInfo_v2}))
        for member, quantity in PLATFORM.items():
            setattr(info, member, bytes([self._library.read(gpu, quantity)]))
        return int(pynvml.NVML_SUCCESS)

    def nvmlSystemGetConfComputeState(self) -> Any:
        """Answer what the first GPU is set to: the state is the machine's."""
        self._library.check()
        state = pynvml.c_nvmlConfComputeSystemState_t()
        if self._library.gpus:
            state.ccFeature = self._library.read(self._library.gpus[0], "confidential_computing")
        return state


def _structure(reference: Any, versions: frozenset[int]) -> Any:
    """Return the structure that ctypes.byref refers to, if it is of a version that is known.

    Raises:
        NVMLError: ARGUMENT_VERSION_MISMATCH.
    """
    structure = getattr(reference, "_obj", reference)
    if structure.version not in versions:
        raise failure(pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH)
    return structure
