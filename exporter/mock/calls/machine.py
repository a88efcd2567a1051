"""NVML functions about the machine and the identity of its GPUs, as the mock has them."""

# ruff: noqa: N802, D102 - the methods have pynvml's names, and NVIDIA's documentation describes them

import sys
from pathlib import Path
from typing import Any

import pynvml

from exporter.mock.calls.library import Library, MockDevice, failure


class MachineCalls:
    """Start and end, versions, handles, names and places."""

    def __init__(self, library: Library) -> None:
        self._library = library

    def nvmlInit(self) -> None:
        self._library.start()

    def nvmlShutdown(self) -> None:
        self._library.stop()

    def nvmlSystemGetDriverVersion(self) -> str:
        self._library.check()
        return self._library.driver

    def nvmlSystemGetNVMLVersion(self) -> str:
        self._library.check()
        return self._library.profile.texts.get("nvml", f"13.{self._library.driver}")

    def nvmlSystemGetCudaDriverVersion_v2(self) -> int:
        """Answer for the driver of the first GPU's profile."""
        self._library.check()
        return self._library.profile.cuda_version

    def nvmlSystemGetProcessName(self, pid: int) -> str:  # noqa: ARG002 - there is only one process
        self._library.check()
        return Path(sys.executable).name

    def nvmlDeviceGetCount(self) -> int:
        self._library.check()
        return len(self._library.gpus)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Any:
        self._library.check()
        if not 0 <= index < len(self._library.gpus):
            raise failure(pynvml.NVML_ERROR_INVALID_ARGUMENT)
        gpu = self._library.gpus[index]
        self._library.check_bound(gpu)
        gpu.gate.enter("nvmlDeviceGetHandleByIndex")
        gpu.costs.pay("nvmlDeviceGetHandleByIndex")
        return self._library.handles[MockDevice(gpu, None)]

    def nvmlDeviceGetUUID(self, handle: Any) -> str:
        target = self._library.enter(handle, "nvmlDeviceGetUUID")
        return target.gpu.uuid if target.instance is None else target.instance.uuid

    def nvmlDeviceGetName(self, handle: Any) -> str:
        target = self._library.enter(handle, "nvmlDeviceGetName")
        return target.gpu.profile.model if target.instance is None else target.instance.name

    def nvmlDeviceGetIndex(self, handle: Any) -> int:
        return self._library.gpus.index(self._library.enter_gpu(handle, "nvmlDeviceGetIndex"))

    def nvmlDeviceGetMinorNumber(self, handle: Any) -> int:
        return self._library.enter_gpu(handle, "nvmlDeviceGetMinorNumber").minor

    def nvmlDeviceGetPciInfo(self, handle: Any) -> Any:
        gpu = self._library.enter_gpu(handle, "nvmlDeviceGetPciInfo")
        info = pynvml.nvmlPciInfo_t()
        info.domain, info.bus, info.device = 0, gpu.pci_bus, 0
        info.pciDeviceId = gpu.profile.pci_device_id
        info.pciSubSystemId = gpu.profile.pci_subsystem_id
        info.busIdLegacy = f"0000:{gpu.pci_bus:02X}:00.0"
        info.busId = f"00000000:{gpu.pci_bus:02X}:00.0"
        return info
