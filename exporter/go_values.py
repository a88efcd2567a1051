"""Booleans, whole numbers and durations in the text forms that Go's flag package reads."""

import re
from decimal import Decimal

MAX_INT64 = 2**63 - 1

_BOOLEANS = {
    **dict.fromkeys(("1", "t", "T", "true", "True", "TRUE"), True),
    **dict.fromkeys(("0", "f", "F", "false", "False", "FALSE"), False),
}
_NANOSECONDS = {
    "ns": 1,
    "us": 10**3,
    "\u00b5s": 10**3,  # micro sign
    "\u03bcs": 10**3,  # Greek mu
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_PART = re.compile(r"(?P<number>[0-9]+\.?[0-9]*|\.[0-9]+)(?P<unit>ns|us|\u00b5s|\u03bcs|ms|s|m|h)")
_INTEGER = re.compile(r"[+-]?(0|[1-9][0-9]{0,18}|0[xX][0-9a-fA-F]{1,16})")


def parse_bool(text: str) -> bool:
    """Read a boolean as Go's strconv.ParseBool does.

    Raises:
        ValueError: without a reason.
    """
    if text not in _BOOLEANS:
        raise ValueError
    return _BOOLEANS[text]


def parse_int(text: str) -> int:
    """Read a decimal or hexadecimal whole number of 64 bits.

    A leading zero is refused: Go would read an octal number, the user hardly means one.

    Raises:
        ValueError: without a reason.
    """
    if not _INTEGER.fullmatch(text):
        raise ValueError
    number = int(text, 0)
    if abs(number) > MAX_INT64:
        raise ValueError
    return number


def parse_duration(text: str) -> float:
    """Read a duration as parse_duration_ns does, in seconds."""
    return parse_duration_ns(text) / 10**9


def parse_duration_ns(text: str) -> int:
    """Read a duration such as 500ms, 10s or 1m30s, as Go's time.ParseDuration does, in whole nanoseconds.

    Raises:
        ValueError: with the reason; also for negative ones, which no setting takes.
    """
    if text == "0":
        return 0
    total_ns = Decimal(0)
    position = 0
    while position < len(text):
        part = _PART.match(text, position)
        if part is None:
            break
        total_ns += Decimal(part["number"]) * _NANOSECONDS[part["unit"]]
        position = part.end()
    if not text or position < len(text):
        raise ValueError("a unit is missing" if text.isdecimal() else "")
    if total_ns > MAX_INT64:
        raise ValueError("it is longer than 292 years")
    return int(total_ns)
