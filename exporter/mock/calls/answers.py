"""What NVML's answers say, by the quantities of the mock: its tables read backwards, to record real GPUs."""

from ctypes import Structure
from typing import Any

import pynvml

from exporter.mock.calls.tables import (
    CHOICES,
    COUNTS,
    FIRSTS,
    LINK_ERRORS,
    MASKS,
    MEMBERS,
    NUMBERS,
    PAIRS,
    TEXTS,
    word_of_mask,
)

_METRIC = "NVML_GPM_METRIC_"

_OF_THE_WHOLE = {
    "nvmlDeviceGetMemoryInfo": {
        "total": "memory_total_bytes",
        "reserved": "memory_reserved_bytes",
        "used": "memory_used_bytes",
    },
    "nvmlDeviceGetPciInfo": {"pciDeviceId": "pci_device_id", "pciSubSystemId": "pci_subsystem_id"},
}
"""Members that a profile has beside its quantities; what else these structures tell is who a GPU is."""

_FIRSTS = {**FIRSTS, "nvmlDeviceGetMigMode": "mig_mode"}
_NUMBERS = {**NUMBERS, "nvmlSystemGetCudaDriverVersion_v2": "cuda_driver_version"}


def quantities_of(function: str, args: tuple[Any, ...], answer: Any) -> dict[str, float]:
    """Return the quantities that an answer tells; none for a function that tells who or where a GPU is.

    Args:
        function: pynvml's name.
        args: What it was called with, behind the GPU's handle, the number of a link included.
        answer: What it answered; for one that fills a structure, the structure.
    """
    number = _NUMBERS.get(function, CHOICES.get(function, {}).get(args))
    if number is not None:
        return {number: answer}
    if function in PAIRS:
        return dict(zip(PAIRS[function], answer, strict=True))
    if function in _FIRSTS:
        return {_FIRSTS[function]: answer[0]}
    if function in COUNTS:
        return {COUNTS[function][args]: len(answer)}
    if function in MASKS:
        return {word_of_mask(MASKS[function], at): word for at, word in enumerate(answer)}
    return _members(function, answer) | _others(function, args, answer)


def quantity_of_metric(metric: int) -> str:
    """Return the name under which a metric of GPM is recorded."""
    names = (name for name, number in vars(pynvml).items() if name.startswith(_METRIC) and number == metric)
    return f"gpm.{next(names).removeprefix(_METRIC)}"


def text_of(function: str, args: tuple[Any, ...]) -> str:
    """Return the mock's name of the text that a function answers; empty where it answers none, or an identifier."""
    if function == "nvmlSystemGetNVMLVersion":
        return "nvml"
    return TEXTS.get(function, {}).get(args, "")


def _members(function: str, answer: Any) -> dict[str, float]:
    members = MEMBERS.get(function) or _OF_THE_WHOLE.get(function, {})
    return {quantity: _number(answer, member) for member, quantity in members.items() if hasattr(answer, member)}


def _others(function: str, args: tuple[Any, ...], answer: Any) -> dict[str, float]:
    if function == "nvmlDeviceGetNvLinkErrorCounter":
        link, counter = args
        return {f"{LINK_ERRORS[counter]}.{link}": answer}
    if function == "nvmlDeviceValidateInforom":
        return {"inforom_valid": int(answer is None)}
    return {}


def _number(structure: Structure, member: str) -> int:
    """Return a member; pynvml gives one of a byte as text, which is empty for 0."""
    value = getattr(structure, member)
    if isinstance(value, int):
        return value
    place = getattr(type(structure), member)
    return int(bytes(structure)[place.offset])
