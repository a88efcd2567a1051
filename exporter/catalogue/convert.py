"""Conversions from what NVML answers to DCGM's units. Pure; each returns a value or the reason for none.

What can't be a number of any unit is refused here, before it is scaled; the range of a field's unit is checked
where answers become samples.
"""

from collections.abc import Callable
from typing import Any

from exporter.catalogue.units import number_of
from exporter.model import Reason, Value

MIB = 1 << 20
KIB = 1 << 10

Convert = Callable[[Any], Value | Reason]


def of_number(compute: Callable[[Any], Value]) -> Convert:
    """Make a conversion of a number; what is none has no value."""

    def convert(answer: Any) -> Value | Reason:
        number = number_of(answer)
        return number if isinstance(number, Reason) else compute(number)

    return convert


def same(answer: Any) -> Value | Reason:
    """Return NVML's number or text as it is."""
    return answer if isinstance(answer, int | float | str) else Reason.UNKNOWN


milli = of_number(lambda number: number / 1000)
"""Convert thousandths to units, fractions kept: mW to W."""

whole_milli = of_number(lambda number: int(number) // 1000)
"""Convert thousandths to whole units, rounded down: mJ to J."""

mega = of_number(lambda number: int(number) * 1_000_000)
"""Convert millions to units: MHz to Hz."""

percent_as_ratio = of_number(lambda number: number / 100)
"""Convert percent to a ratio of 1."""

mib_as_bytes = of_number(lambda number: int(number * MIB))
"""Convert MiB, or MiB per second, to whole bytes."""

kib_as_bytes = of_number(lambda number: int(number * KIB))
"""Convert KiB, or KiB per second, to whole bytes."""

kib_as_thousands = of_number(lambda number: int(number / 1000))
"""Convert KiB per second to what DCGM calls MB/s: whole thousands of KiB."""


def attr(name: str, whole: str = "") -> Convert:
    """Make a conversion that takes one member of a structure as it is; `whole` names the one that it is a part of."""
    return lambda answer: part(answer, name, whole) if whole else same(member(answer, name))


def mib_of(name: str, whole: str = "") -> Convert:
    """Make a conversion of one member of a structure from bytes to whole MiB, rounded down; `whole` as in `attr`."""

    def convert(answer: Any) -> Value | Reason:
        number = part(answer, name, whole or name)
        return number if isinstance(number, Reason) else int(number) // MIB

    return convert


def ratio_of(name: str) -> Convert:
    """Make a conversion of one member of a structure from percent to a ratio of 1."""
    return lambda answer: percent_as_ratio(getattr(answer, name))


def first(answer: Any) -> Value | Reason:
    """Return the first of several numbers, as encoder and decoder utilization have it before their period."""
    return same(answer[0])


def first_as_ratio(answer: Any) -> Value | Reason:
    """Return the first of several numbers, percent, as a ratio of 1."""
    return percent_as_ratio(answer[0])


def part(answer: Any, name: str, whole: str) -> int | float | Reason:
    """Return one member of a structure, if it is no greater than the member that it is a part of."""
    number, limit = number_of(getattr(answer, name)), number_of(getattr(answer, whole))
    if isinstance(number, Reason):
        return number
    if isinstance(limit, Reason):
        return limit
    return number if number <= limit else Reason.OUT_OF_RANGE


def member(answer: Any, name: str) -> Any:
    """Return one member of a structure; in text, what is no UTF-8 is replaced."""
    try:
        return getattr(answer, name)
    except UnicodeDecodeError as error:
        return replaced(error)


def replaced(error: UnicodeDecodeError) -> str:
    """Return the text that pynvml could not decode, with U+FFFD for each of its bytes that is no UTF-8.

    Drivers 555.85 and 555.99 answer such names. pynvml decodes all of a text at once, so the error holds all of it.
    """
    return error.object.decode(errors="replace")
