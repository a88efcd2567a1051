"""nvmlDeviceGetFieldValues, as the mock has it."""

# ruff: noqa: N802, N803, D102 - the method has pynvml's names, and NVIDIA's documentation describes it

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import pynvml

from exporter.mock.calls.library import Library, MockDevice
from exporter.mock.machine.device import MockGpu

ALL_LINKS = 0xFFFFFFFF

_UNSIGNED_INT = (pynvml.NVML_VALUE_TYPE_UNSIGNED_INT, "uiVal")
_UNSIGNED_LONG_LONG = (pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG, "ullVal")

# The value types are recorded on an H100. A counter begins again at 0 where its type ends: ctypes cuts the number.
_FIELDS = {
    pynvml.NVML_FI_DEV_MEMORY_TEMP: ("memory_temperature_c", _UNSIGNED_INT),
    pynvml.NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION: ("energy_mj", _UNSIGNED_LONG_LONG),
    pynvml.NVML_FI_DEV_PCIE_REPLAY_COUNTER: ("pcie_replay_count", _UNSIGNED_INT),
    pynvml.NVML_FI_DEV_REMAPPED_COR: ("remapped_rows_correctable", _UNSIGNED_LONG_LONG),
    pynvml.NVML_FI_DEV_REMAPPED_UNC: ("remapped_rows_uncorrectable", _UNSIGNED_LONG_LONG),
    pynvml.NVML_FI_DEV_REMAPPED_PENDING: ("remapped_rows_pending", _UNSIGNED_LONG_LONG),
    pynvml.NVML_FI_DEV_REMAPPED_FAILURE: ("remapped_rows_failure", _UNSIGNED_LONG_LONG),
    pynvml.NVML_FI_DEV_POWER_AVERAGE: ("power_average_mw", _UNSIGNED_INT),
    pynvml.NVML_FI_DEV_POWER_INSTANT: ("power_instant_mw", _UNSIGNED_INT),
    pynvml.NVML_FI_DEV_PCIE_COUNT_TX_BYTES: ("pcie_transmitted_bytes", _UNSIGNED_INT),
    pynvml.NVML_FI_DEV_PCIE_COUNT_RX_BYTES: ("pcie_received_bytes", _UNSIGNED_INT),
}
_LINK_TOTALS = {
    pynvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX: "nvlink_transmitted_kib",
    pynvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX: "nvlink_received_kib",
}
"""What all links together carry."""

_OF_LINKS = {
    pynvml.NVML_FI_DEV_NVLINK_ERROR_DL_REPLAY: "nvlink_replay_errors",
    pynvml.NVML_FI_DEV_NVLINK_ERROR_DL_RECOVERY: "nvlink_recovery_errors",
    pynvml.NVML_FI_DEV_NVLINK_ERROR_DL_CRC: "nvlink_crc_flit_errors",
    pynvml.NVML_FI_DEV_NVLINK_GET_STATE: "nvlink_state",
}
"""What each link has of its own."""

_UNSIGNED_INTS = frozenset(
    getattr(pynvml, f"NVML_FI_DEV_{name}") for name in ("PCIE_COUNT_CORRECTABLE_ERRORS", "GET_GPU_RECOVERY_ACTION")
)


@cache
def _names() -> Mapping[int, tuple[str, ...]]:
    """Return NVML's names of each field value."""
    names: dict[int, tuple[str, ...]] = {}
    for name, number in vars(pynvml).items():
        if name.startswith("NVML_FI_") and isinstance(number, int):
            names[number] = (*names.get(number, ()), name)
    return names


@cache
def _quantities() -> Mapping[int, tuple[str, ...]]:
    """Return for each field value the names field.* that a profile or scenario may give it."""
    return {
        number: tuple(f"field.{name.removeprefix('NVML_FI_DEV_').removeprefix('NVML_FI_')}" for name in names)
        for number, names in _names().items()
    }


def recorded_fields() -> tuple[int, ...]:
    """Return the field values that have a quantity of a name of its own, but for those of links."""
    return tuple(_FIELDS)


def is_of_links(field_id: int) -> bool:
    """Say whether each NVLink has a value of its own."""
    return field_id in _LINK_TOTALS | _OF_LINKS


def quantity_of_field(field_id: int, link: int | None = None) -> str:
    """Return the name under which a field value is recorded: of a GPU, or of one of its NVLinks."""
    if link is not None and is_of_links(field_id):
        return f"{(_LINK_TOTALS | _OF_LINKS)[field_id]}.{link}"
    return _FIELDS[field_id][0] if field_id in _FIELDS else _quantities()[field_id][0]


class FieldCalls:
    """Many values of a device in one call, each with a return code of its own."""

    def __init__(self, library: Library) -> None:
        self._library = library

    def nvmlDeviceGetFieldValues(self, handle: Any, fieldIds: Iterable[int | tuple[int, int]]) -> Any:
        target = self._library.enter(handle, "nvmlDeviceGetFieldValues")
        wanted = [(entry, 0) if isinstance(entry, int) else entry for entry in fieldIds]
        t = self._library.now()
        answers = (pynvml.c_nvmlFieldValue_t * len(wanted))()
        for answer, (field_id, scope_id) in zip(answers, wanted, strict=True):
            answer.fieldId, answer.scopeId = field_id, scope_id
            answer.timestamp = self._library.driver_us(t)
            self._fill(answer, target, t)
            answer.latencyUsec = round(target.gpu.costs.pay(_names().get(field_id, ("",))[0]))
        return answers

    def _fill(self, answer: Any, target: MockDevice, t: float) -> None:
        if target.instance is None and answer.fieldId in _LINK_TOTALS.keys() | _OF_LINKS.keys():
            _fill_from_links(answer, target.gpu, t)
            return
        name, (value_type, member) = _FIELDS.get(answer.fieldId, ("", _UNSIGNED_LONG_LONG))
        if not name:
            named = (one for one in _quantities().get(answer.fieldId, ()) if one in target.gauges.values)
            name = next(named, "")
            value_type, member = _UNSIGNED_INT if answer.fieldId in _UNSIGNED_INTS else _UNSIGNED_LONG_LONG
        value = target.gpu.value(name, t) if target.instance is None else None
        if value is None:
            answer.nvmlReturn = pynvml.NVML_ERROR_NOT_SUPPORTED
            return
        answer.valueType = value_type
        setattr(answer.value, member, round(value))


def _fill_from_links(answer: Any, gpu: MockGpu, t: float) -> None:
    if not gpu.links:
        answer.nvmlReturn = pynvml.NVML_ERROR_NOT_SUPPORTED
        return
    if answer.scopeId != ALL_LINKS and answer.scopeId >= gpu.links:
        answer.nvmlReturn = pynvml.NVML_ERROR_INVALID_ARGUMENT
        return
    links = range(gpu.links) if answer.scopeId == ALL_LINKS else (answer.scopeId,)
    values = [_of_link(answer.fieldId, gpu, t, link) for link in links]
    if None in values:
        answer.nvmlReturn = pynvml.NVML_ERROR_NOT_SUPPORTED
        return
    answer.valueType = pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG
    answer.value.ullVal = sum(value for value in values if value is not None)


def _of_link(field_id: int, gpu: MockGpu, t: float, link: int) -> int | None:
    """Return what one link has; None where the model's NVLinks do not count it."""
    if field_id in _LINK_TOTALS:
        own = gpu.value(f"{_LINK_TOTALS[field_id]}.{link}", t)
        return round((gpu.value(_LINK_TOTALS[field_id], t) or 0.0) / gpu.links if own is None else own)
    value = gpu.value(_OF_LINKS[field_id], t, link)
    return None if value is None else round(value)
