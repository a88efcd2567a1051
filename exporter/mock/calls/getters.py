"""NVML's plain getters, as the mock has them: a number or a text for each function and its arguments."""

# ruff: noqa: N802, N803, D102 - the methods have pynvml's names, and NVIDIA's documentation describes them

import inspect
from collections.abc import Callable
from typing import Any

import pynvml

from exporter.mock.calls.library import Library, failure
from exporter.mock.calls.tables import (
    CHOICES,
    COUNTS,
    LINK_ERRORS,
    MASKS,
    NUMBERS,
    PAIRS,
    PEER_STATUSES,
    TEXTS,
    word_of_mask,
)
from exporter.mock.machine.device import MockGpu

_P2P_NOT_SUPPORTED = 5


class GetterCalls:
    """Everything that is asked of a GPU and answered by one number or text.

    The functions of the tables are attributes, as the methods are.
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
        return list(range(self._library.read(gpu, COUNTS["nvmlDeviceGetRetiredPages"][(sourceFilter,)])))

    def nvmlDeviceGetCpuAffinity(self, handle: Any, cpuSetSize: int) -> list[int]:
        return self._mask(handle, "nvmlDeviceGetCpuAffinity", cpuSetSize)

    def nvmlDeviceGetMemoryAffinity(self, handle: Any, nodeSetSize: int, scope: int) -> list[int]:  # noqa: ARG002
        return self._mask(handle, "nvmlDeviceGetMemoryAffinity", nodeSetSize)

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
        told = both[0].value(PEER_STATUSES.get(p2pIndex, ""), self._library.now(), both[1].index)
        if told is not None:
            return round(told)
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

    def _mask(self, handle: Any, function: str, words: int) -> list[int]:
        gpu, quantity = self._library.enter_gpu(handle, function), MASKS[function]
        further = (gpu.value(word_of_mask(quantity, at), self._library.now()) for at in range(1, words))
        return [self._library.read(gpu, quantity), *(round(word or 0) for word in further)]
