"""Conversions from what NVML answers to DCGM's units. Pure; each returns a value or the reason for none."""

import math
from collections.abc import Callable
from typing import Any

from exporter.model import Reason, Value

MIB = 1 << 20
KIB = 1 << 10

Convert = Callable[[Any], Value | Reason]


def same(answer: Any) -> Value | Reason:
    """Return NVML's number or text as it is."""
    return _number_or_text(answer)


def attr(name: str) -> Convert:
    """Make a conversion that takes one member of a structure as it is."""
    return lambda answer: _number_or_text(getattr(answer, name))


def mib_of(name: str) -> Convert:
    """Make a conversion of one member of a structure from bytes to whole MiB, rounded down."""
    return lambda answer: int(getattr(answer, name)) // MIB


def ratio_of(name: str) -> Convert:
    """Make a conversion of one member of a structure from percent to a ratio of 1."""
    return lambda answer: float(getattr(answer, name)) / 100


def first(answer: Any) -> Value | Reason:
    """Return the first of several numbers, as encoder and decoder utilization have it before their period."""
    return int(answer[0])


def first_as_ratio(answer: Any) -> Value | Reason:
    """Return the first of several numbers, percent, as a ratio of 1."""
    return float(answer[0]) / 100


def milli(answer: Any) -> Value | Reason:
    """Convert thousandths to units, fractions kept: mW to W."""
    return float(answer) / 1000


def whole_milli(answer: Any) -> Value | Reason:
    """Convert thousandths to whole units, rounded down: mJ to J."""
    return int(answer) // 1000


def mega(answer: Any) -> Value | Reason:
    """Convert millions to units: MHz to Hz."""
    return int(answer) * 1_000_000


def percent_as_ratio(answer: Any) -> Value | Reason:
    """Convert percent to a ratio of 1."""
    return _finite(float(answer) / 100)


def mib_as_bytes(answer: Any) -> Value | Reason:
    """Convert MiB, or MiB per second, to whole bytes."""
    number = _finite(float(answer) * MIB)
    return number if isinstance(number, Reason) else int(number)


def kib_as_bytes(answer: Any) -> Value | Reason:
    """Convert KiB, or KiB per second, to whole bytes."""
    number = _finite(float(answer) * KIB)
    return number if isinstance(number, Reason) else int(number)


def kib_as_thousands(answer: Any) -> Value | Reason:
    """Convert KiB per second to what DCGM calls MB/s: whole thousands of KiB."""
    number = _finite(float(answer) / 1000)
    return number if isinstance(number, Reason) else int(number)


def _number_or_text(answer: Any) -> Value | Reason:
    if isinstance(answer, float):
        return _finite(answer)
    if isinstance(answer, int | str):
        return answer
    return Reason.UNKNOWN


def _finite(number: float) -> float | Reason:
    return number if math.isfinite(number) else Reason.NOT_A_NUMBER
