"""One NVML call at a time: an answer or the reason for none, and how long it took.

The library is an object with pynvml's functions: the module `pynvml` itself, or the mock.
"""

import logging
import time
from typing import Any

import pynvml

from exporter.catalogue.units import number_of
from exporter.model import Reason

log = logging.getLogger(__name__)

REASONS = {
    pynvml.NVML_ERROR_NOT_SUPPORTED: Reason.NOT_SUPPORTED,
    pynvml.NVML_ERROR_FUNCTION_NOT_FOUND: Reason.NOT_SUPPORTED,
    pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH: Reason.NOT_SUPPORTED,
    pynvml.NVML_ERROR_INVALID_ARGUMENT: Reason.NOT_SUPPORTED,
    pynvml.NVML_ERROR_NO_PERMISSION: Reason.NOT_PERMITTED,
    pynvml.NVML_ERROR_NOT_FOUND: Reason.NO_SAMPLE_YET,
    pynvml.NVML_ERROR_NO_DATA: Reason.NO_SAMPLE_YET,
    pynvml.NVML_ERROR_NOT_READY: Reason.NO_SAMPLE_YET,
    pynvml.NVML_ERROR_TIMEOUT: Reason.TIMEOUT,
    pynvml.NVML_ERROR_GPU_IS_LOST: Reason.GPU_LOST,
    pynvml.NVML_ERROR_RESET_REQUIRED: Reason.GPU_LOST,
    pynvml.NVML_ERROR_GPU_NOT_FOUND: Reason.GPU_LOST,
    pynvml.NVML_ERROR_UNINITIALIZED: Reason.DRIVER_GONE,
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED: Reason.DRIVER_GONE,
    pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: Reason.DRIVER_GONE,
}
"""What an NVML return code means for a value; every other code is Reason.UNKNOWN."""

DEVICE_GONE = frozenset({Reason.GPU_LOST, Reason.DRIVER_GONE})
"""Reasons after which no other call on the same device can work."""


class Calls:
    """Makes NVML calls for one thread and keeps account of their number and their time.

    Attributes:
        spent_s: Seconds spent within NVML since the start; only ever grows.
        count: Calls made since the start; only ever grows.
    """

    def __init__(self, library: Any) -> None:
        self._library = library
        self.spent_s = 0.0
        self.count = 0

    def __call__(self, function: str, *args: Any) -> Any | Reason:
        """Call a function of NVML by pynvml's name.

        Returns:
            What pynvml returns, or the reason why there is no answer. Never raises for what the driver says.
        """
        started = time.perf_counter()
        try:
            return getattr(self._library, function)(*args)
        except pynvml.NVMLError as error:
            log.debug("%s: %s", function, error)
            return REASONS.get(error.value, Reason.UNKNOWN)
        finally:
            self.spent_s += time.perf_counter() - started
            self.count += 1

    def field_values(self, device: Any, ids: tuple[tuple[int, int], ...]) -> "list[FieldAnswer] | Reason":
        """Read several field values of a device in one call.

        Args:
            device: The device's handle.
            ids: Pairs of field id and scope id.

        Returns:
            For each id its value or the reason for none, with the driver's time of the reading; or one reason
            for all.

        Source: nvmlDeviceGetFieldValues.
        """
        answers = self("nvmlDeviceGetFieldValues", device, ids)
        if isinstance(answers, Reason):
            return answers
        return [(field_value(answer), answer.timestamp) for answer in answers]


FieldAnswer = tuple[int | float | Reason, int]
"""A field value's number, or why there is none, and the driver's clock in microseconds."""

_MEMBER_OF_TYPE = {
    pynvml.NVML_VALUE_TYPE_DOUBLE: "dVal",
    pynvml.NVML_VALUE_TYPE_UNSIGNED_INT: "uiVal",
    pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG: "ulVal",
    pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG: "ullVal",
    pynvml.NVML_VALUE_TYPE_SIGNED_LONG_LONG: "sllVal",
    pynvml.NVML_VALUE_TYPE_SIGNED_INT: "siVal",
    pynvml.NVML_VALUE_TYPE_UNSIGNED_SHORT: "usVal",
}


def field_value(answer: Any) -> int | float | Reason:
    """Return the number that a c_nvmlFieldValue_t holds, or the reason why it holds none."""
    if answer.nvmlReturn != pynvml.NVML_SUCCESS:
        return REASONS.get(answer.nvmlReturn, Reason.UNKNOWN)
    member = _MEMBER_OF_TYPE.get(answer.valueType)
    if member is None:
        return Reason.UNKNOWN
    return number_of(getattr(answer.value, member))
