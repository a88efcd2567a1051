"""NVML's plain getters, as the mock has them: a number or a text for each function and its arguments."""

# ruff: noqa: N802, N803, D102 - the methods have pynvml's names, and NVIDIA's documentation describes them

import inspect
from collections.abc import Callable
from typing import Any

import pynvml

from exporter.mock.calls.library import Library, failure
from exporter.mock.machine.device import MockGpu

NUMBERS = {
    "nvmlDeviceGetPerformanceState": "performance_state",
    "nvmlDeviceGetComputeMode": "compute_mode",
    "nvmlDeviceGetPersistenceMode": "persistence_mode",
    "nvmlDeviceGetVirtualizationMode": "virtualization_mode",
    "nvmlDeviceGetBrand": "brand",
    "nvmlDeviceGetCurrentClocksEventReasons": "clock_event_reasons",
    "nvmlDeviceGetPowerManagementLimit": "power_limit_mw",
    "nvmlDeviceGetPowerManagementDefaultLimit": "power_limit_default_mw",
    "nvmlDeviceGetEnforcedPowerLimit": "power_limit_enforced_mw",
    "nvmlDeviceGetMarginTemperature": "gpu_temperature_margin_c",
    "nvmlDeviceGetMaxPcieLinkGeneration": "pcie_max_link_generation",
    "nvmlDeviceGetMaxPcieLinkWidth": "pcie_max_link_width",
    "nvmlDeviceGetCurrPcieLinkGeneration": "pcie_link_generation",
    "nvmlDeviceGetCurrPcieLinkWidth": "pcie_link_width",
    "nvmlDeviceGetInforomConfigurationChecksum": "inforom_checksum",
    "nvmlDeviceGetUnrepairableMemoryFlag_v1": "unrepairable_memory",
}
"""The quantities of functions that take a GPU alone."""

PAIRS = {
    "nvmlDeviceGetCudaComputeCapability": ("compute_capability_major", "compute_capability_minor"),
    "nvmlDeviceGetPowerManagementLimitConstraints": ("power_limit_min_mw", "power_limit_max_mw"),
    "nvmlDeviceGetAutoBoostedClocksEnabled": ("auto_boost", "auto_boost"),
}
"""Likewise, of those that answer two numbers."""

_ECC_KINDS = {"sbe": pynvml.NVML_MEMORY_ERROR_TYPE_CORRECTED, "dbe": pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED}
_ECC_LIVES = {"volatile": pynvml.NVML_VOLATILE_ECC, "aggregate": pynvml.NVML_AGGREGATE_ECC}
_ECC_PLACES = ("l1", "l2", "dram", "registers", "texture", "shared", "cbu", "sram")

CHOICES: dict[str, dict[tuple[int, ...], str]] = {
    "nvmlDeviceGetMaxClockInfo": {
        (pynvml.NVML_CLOCK_GRAPHICS,): "max_graphics_clock_mhz",
        (pynvml.NVML_CLOCK_SM,): "max_sm_clock_mhz",
        (pynvml.NVML_CLOCK_MEM,): "max_memory_clock_mhz",
        (pynvml.NVML_CLOCK_VIDEO,): "max_video_clock_mhz",
    },
    "nvmlDeviceGetApplicationsClock": {
        (pynvml.NVML_CLOCK_GRAPHICS,): "app_graphics_clock_mhz",
        (pynvml.NVML_CLOCK_MEM,): "app_memory_clock_mhz",
    },
    "nvmlDeviceGetTemperatureThreshold": {
        (pynvml.NVML_TEMPERATURE_THRESHOLD_SHUTDOWN,): "gpu_temperature_shutdown_c",
        (pynvml.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN,): "gpu_temperature_slowdown_c",
        (pynvml.NVML_TEMPERATURE_THRESHOLD_GPU_MAX,): "gpu_temperature_max_c",
        (pynvml.NVML_TEMPERATURE_THRESHOLD_MEM_MAX,): "memory_temperature_max_c",
    },
    "nvmlDeviceGetPcieThroughput": {
        (pynvml.NVML_PCIE_UTIL_TX_BYTES,): "pcie_transmitted_kb_per_s",
        (pynvml.NVML_PCIE_UTIL_RX_BYTES,): "pcie_received_kb_per_s",
    },
    "nvmlDeviceGetMemoryErrorCounter": {
        (kind_id, life_id, place_id): f"ecc_{kind}_{life}_{place}"
        for kind, kind_id in _ECC_KINDS.items()
        for life, life_id in _ECC_LIVES.items()
        for place_id, place in enumerate(_ECC_PLACES)  # as NVML_MEMORY_LOCATION_* counts them
    },
}
"""The quantities of functions that take a GPU and what is meant of it."""

TEXTS: dict[str, dict[tuple[int, ...], str]] = {
    "nvmlDeviceGetVbiosVersion": {(): "vbios"},
    "nvmlDeviceGetInforomImageVersion": {(): "inforom_image"},
    "nvmlDeviceGetInforomVersion": {
        (pynvml.NVML_INFOROM_OEM,): "inforom_oem",
        (pynvml.NVML_INFOROM_ECC,): "inforom_ecc",
        (pynvml.NVML_INFOROM_POWER,): "inforom_power",
    },
}
"""The profile's texts, likewise."""

LINK_ERRORS = {
    pynvml.NVML_NVLINK_ERROR_DL_REPLAY: "nvlink_replay_errors",
    pynvml.NVML_NVLINK_ERROR_DL_RECOVERY: "nvlink_recovery_errors",
    pynvml.NVML_NVLINK_ERROR_DL_CRC_FLIT: "nvlink_crc_flit_errors",
    pynvml.NVML_NVLINK_ERROR_DL_CRC_DATA: "nvlink_crc_data_errors",
    pynvml.NVML_NVLINK_ERROR_DL_ECC_DATA: "nvlink_ecc_data_errors",
}
_P2P_NOT_SUPPORTED = 5


class GetterCalls:
    """Everything that is asked of a GPU and answered by one number or text.

    The functions of the tables above are attributes, as the methods are.
    """

    def __init__(self, library: Library) -> None:
        self._library = library
        for function, quantity in NUMBERS.items():
            self._offer(function, self._number({(): quantity}))
        for function, quantities in CHOICES.items():
            self._offer(function, self._number(quantities))
        for function, pair in PAIRS.items():
            self._offer(function, self._pair(pair))
        for function, texts in TEXTS.items():
            self._offer(function, self._text(texts))

    def nvmlDeviceGetSerial(self, handle: Any) -> str:
        """Count the GPUs on from the profile's serial number."""
        gpu = self._library.enter_gpu(handle, "nvmlDeviceGetSerial")
        if "serial" not in gpu.profile.texts:
            raise failure(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return str(int(gpu.profile.texts["serial"]) + gpu.index)

    def nvmlDeviceValidateInforom(self, handle: Any) -> None:
        gpu = self._library.enter_gpu(handle, "nvmlDeviceValidateInforom")
        if self._library.read(gpu, "inforom_valid") == 0:
            raise failure(pynvml.NVML_ERROR_CORRUPTED_INFOROM)

    def nvmlDeviceGetRetiredPages(self, device: Any, sourceFilter: int) -> list[int]:
        gpu = self._library.enter_gpu(device, "nvmlDeviceGetRetiredPages")
        causes = {
            pynvml.NVML_PAGE_RETIREMENT_CAUSE_MULTIPLE_SINGLE_BIT_ECC_ERRORS: "retired_pages_sbe",
            pynvml.NVML_PAGE_RETIREMENT_CAUSE_DOUBLE_BIT_ECC_ERROR: "field.RETIRED_DBE",
        }
        return list(range(self._library.read(gpu, causes[sourceFilter])))

    def nvmlDeviceGetCpuAffinity(self, handle: Any, cpuSetSize: int) -> list[int]:
        return self._mask(handle, "nvmlDeviceGetCpuAffinity", "cpu_affinity_mask", cpuSetSize)

    def nvmlDeviceGetMemoryAffinity(self, handle: Any, nodeSetSize: int, scope: int) -> list[int]:  # noqa: ARG002
        return self._mask(handle, "nvmlDeviceGetMemoryAffinity", "memory_affinity_mask", nodeSetSize)

    def nvmlDeviceGetNvLinkErrorCounter(self, device: Any, link: int, counter: int) -> int:
        gpu = self._library.enter_gpu(device, "nvmlDeviceGetNvLinkErrorCounter")
        if not gpu.links:
            raise failure(pynvml.NVML_ERROR_NOT_SUPPORTED)
        if link >= gpu.links or counter not in LINK_ERRORS:
            raise failure(pynvml.NVML_ERROR_INVALID_ARGUMENT)
        return self._library.read(gpu, LINK_ERRORS[counter], link)

    def nvmlDeviceGetNvLinkState(self, device: Any, link: int) -> int:
        gpu = self._library.enter_gpu(device, "nvmlDeviceGetNvLinkState")
        if link >= gpu.links:
            raise failure(pynvml.NVML_ERROR_INVALID_ARGUMENT if gpu.links else pynvml.NVML_ERROR_NOT_SUPPORTED)
        return self._library.read(gpu, "nvlink_state", link)

    def nvmlDeviceGetP2PStatus(self, device1: Any, device2: Any, p2pIndex: int) -> int:
        both = [self._library.enter_gpu(device, "nvmlDeviceGetP2PStatus") for device in (device1, device2)]
        is_reached = p2pIndex != pynvml.NVML_P2P_CAPS_INDEX_NVLINK or all(gpu.links for gpu in both)
        return int(pynvml.NVML_P2P_STATUS_OK) if is_reached else _P2P_NOT_SUPPORTED

    def _number(self, quantities: dict[tuple[int, ...], str]) -> Callable[..., int]:
        def get(gpu: MockGpu, *choice: int) -> int:
            if choice not in quantities:
                raise failure(pynvml.NVML_ERROR_INVALID_ARGUMENT)
            return self._library.read(gpu, quantities[choice])

        return get

    def _pair(self, quantities: tuple[str, str]) -> Callable[..., list[int]]:
        return lambda gpu: [self._library.read(gpu, quantity) for quantity in quantities]

    def _text(self, texts: dict[tuple[int, ...], str]) -> Callable[..., str]:
        def get(gpu: MockGpu, *choice: int) -> str:
            text = gpu.profile.texts.get(texts.get(choice, ""))
            if text is None:
                raise failure(pynvml.NVML_ERROR_NOT_SUPPORTED)
            return text

        return get

    def _offer(self, function: str, get: Callable[..., Any]) -> None:
        """Offer a function under pynvml's name, with pynvml's parameters, of which the first is the GPU's handle."""
        signature = inspect.signature(getattr(pynvml, function))

        def entered(*args: Any, **named: Any) -> Any:
            handle, *choice = signature.bind(*args, **named).args
            return get(self._library.enter_gpu(handle, function), *choice)

        entered.__signature__ = signature  # type: ignore[attr-defined]  # what inspect goes by
        setattr(self, function, entered)

    def _mask(self, handle: Any, function: str, quantity: str, words: int) -> list[int]:
        mask = self._library.read(self._library.enter_gpu(handle, function), quantity)
        return [mask >> (64 * word) & (1 << 64) - 1 for word in range(words)]
