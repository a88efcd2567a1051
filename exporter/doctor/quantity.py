"""Kubernetes' quantities: 90, 1500m, 2k, 64Mi, 1e3."""

import re
from fractions import Fraction

_QUANTITY = re.compile(
    r"(?P<number>[+-]?(?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40}))(?:[eE](?P<power>[+-]?[0-9]{1,2})|(?P<suffix>[numkMGTPE]|[KMGTPE]i)?)"
)
_SUFFIXES = {
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    "": Fraction(1),
    **{suffix: Fraction(10 ** (3 * power)) for power, suffix in enumerate("kMGTPE", 1)},
    **{f"{suffix}i": Fraction(1 << 10 * power) for power, suffix in enumerate("KMGTPE", 1)},
}


def parse_quantity(text: str) -> Fraction:
    """Return the number that a quantity means.

    Raises:
        ValueError: It is none.
    """
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:80]!r} is not a quantity")
    number = Fraction(match["number"])
    return number * Fraction(10) ** int(match["power"]) if match["power"] else number * _SUFFIXES[match["suffix"] or ""]
