"""What NVML's answers say: return codes as reasons, field values as numbers. Calls nothing."""

from ctypes import Array, Structure
from functools import cache
from typing import Any

import pynvml

from exporter.catalogue.units import number_of
from exporter.model import Reason

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


def plain(structures: Any) -> Any:
    """Return an array of pynvml's structures without what pynvml does, in Python, at each look at a member."""
    if not isinstance(structures, Array):
        return structures
    kind: Any = structures._type_
    return (_plain(kind) * len(structures)).from_buffer(structures)


def is_untouched(answer: Any) -> bool:
    """Say whether the driver has not written into a c_nvmlFieldValue_t, which then reads as a success of 0.

    An H200 leaves power smoothing so, which it does not support, where it is asked for much else in the same call;
    580.159.04.
    """
    return bool(
        answer.nvmlReturn == pynvml.NVML_SUCCESS
        and answer.valueType == pynvml.NVML_VALUE_TYPE_DOUBLE
        and answer.timestamp == 0
        and answer.value.dVal == 0
    )


@cache
def _plain(kind: Any) -> type[Structure]:
    return type(kind.__name__, (Structure,), {"_fields_": kind._fields_})


@cache
def field_value_name(field_id: int) -> str:
    """Return NVML's name of a field value, the number where it has none; of several names the one that came first."""
    names = (name for name, value in vars(pynvml).items() if name.startswith("NVML_FI_") and value == field_id)
    return next(names, str(field_id))


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
    return number_of_type(answer.valueType, answer.value)


def number_of_type(value_type: int, value: Any) -> int | float | Reason:
    """Return the number that a c_nvmlValue_t holds as one of NVML's value types."""
    member = _MEMBER_OF_TYPE.get(value_type)
    return Reason.UNKNOWN if member is None else number_of(getattr(value, member))
