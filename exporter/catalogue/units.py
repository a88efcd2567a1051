"""What a number of each unit can be. One outside is no measurement, and a single one of it misleads an autoscaler.

Limits are wide: beyond what hardware of the next years can do, and below what a driver that fails answers. Limits of
one machine, such as its memory, stand with the readings that know them.
"""

import math
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

from exporter.fields import FIELDS
from exporter.model import Reason, Value


class Range(NamedTuple):
    """The least and the greatest number that a unit allows."""

    low: float
    high: float


RANGES: Mapping[str, Range] = {
    "percent": Range(0, 100),
    "ratio": Range(0, 1),
    "fan_percent": Range(0, 200),  # of the speed up to which a fan is quiet: NVML says that it may exceed 100
    "fan_ratio": Range(0, 2),
    "celsius": Range(-100, 200),  # margins to a limit go below 0; silicon dies far below 200
    "watts": Range(0, 10_000),  # a GB200 takes 1200, and boards of 3600 are announced
    "megahertz": Range(0, 50_000),  # GDDR7 reads 14001
    "hertz": Range(0, 50_000e6),
    "mebibytes": Range(0, 1 << 24),  # 16 TiB; a GB300 has 288 GB
    "bytes": Range(0, 1 << 44),
    "kilobytes_per_second": Range(0, 1e11),  # 100 TB/s; all NVLinks of a GPU together do 3.6
    "megabytes_per_second": Range(0, 1e8),
    "bytes_per_second": Range(0, 1e14),
    "millijoules": Range(0, 1e16),  # 10 kW for 30 years
    "joules": Range(0, 1e13),
    "nanoseconds": Range(0, 1e18),  # 30 years
    "seconds": Range(0, 1e10),  # Unix time, too
    "pstate": Range(0, 15),  # 32 stands for unknown
    "count": Range(0, 1 << 63),
    "number": Range(0, 1 << 63),  # codes, modes, indices, versions
    "bits": Range(0, (1 << 64) - 1),  # each bit or all of them mean something; all ones are an answer like others
}
"""By the names in tools/dcgm-fields.csv."""

NOT_AVAILABLE = frozenset(
    {
        (1 << 32) - 1,  # NVML_VALUE_NOT_AVAILABLE, -1 as an unsigned number
        (1 << 64) - 1,
        *range((1 << 31) - 16, 1 << 31),  # DCGM's blanks of 32 bits, and the greatest signed number behind them
        *range((1 << 63) - 16, 1 << 63),
    }
)
"""Numbers by which drivers say that they have none. Only for units in which all ones are no answer."""

ROUNDING = 1.005
"""Means of a busy second come out a little above 100 %, as two clocks measure them; so far that is full load."""

_OWN_SUFFIXES = {"_total": "count", "_seconds": "seconds", "_ratio": "ratio", "_bytes": "bytes"}


def number_of(answer: object) -> int | float | Reason:
    """Return what NVML answered if it is a number, whatever its unit."""
    if not isinstance(answer, int | float):
        return Reason.UNKNOWN
    if isinstance(answer, float) and not math.isfinite(answer):
        return Reason.NOT_A_NUMBER
    return Reason.OUT_OF_RANGE if answer in NOT_AVAILABLE else answer


def count_of(answer: object, most: int) -> int | Reason:
    """Return what NVML answered if it is a number from 0 to `most`."""
    number = number_of(answer)
    if isinstance(number, Reason):
        return number
    return int(number) if 0 <= number <= most else Reason.OUT_OF_RANGE


@cache
def unit_of(field: str) -> str:
    """Return a field's unit, of our own series the one that the name ends in; empty for text and where it is open."""
    if field in FIELDS:
        return FIELDS[field].unit
    return next((unit for suffix, unit in _OWN_SUFFIXES.items() if field.endswith(suffix)), "")


def checked(field: str, value: Value) -> Value | Reason:
    """Return a field's value if its unit allows it, else the reason why it is none.

    Args:
        field: The field's canonical name, or that of a series of our own.
        value: The value in the field's unit.
    """
    unit = unit_of(field)
    if isinstance(value, str):
        return Reason.NOT_A_NUMBER if unit else value
    if not unit:
        return number_of(value)
    low, high = RANGES[unit]
    if low <= value <= high and (value not in NOT_AVAILABLE or unit == "bits"):
        return value
    number = number_of(value)
    if isinstance(number, float) and unit in {"percent", "ratio"} and high < number <= high * ROUNDING:
        return high
    return number if isinstance(number, Reason) else Reason.OUT_OF_RANGE
