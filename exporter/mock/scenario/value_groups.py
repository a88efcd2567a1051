"""What GPUs answer, as profiles list it: groups of values, each group with its source."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product

from exporter.mock.document import UNLIMITED, Section
from exporter.mock.machine.profile import Span, Total
from exporter.mock.machine.quantities import is_quantity

_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")


@dataclass(slots=True)
class ValueGroups:
    """What a model answers, by quantity: `spans` follow the load, `totals` grow."""

    spans: dict[str, Span] = field(default_factory=dict)
    totals: dict[str, Total] = field(default_factory=dict)

    def take(self, top: Section) -> None:
        """Add the groups under the key values of a document; what is there already is replaced.

        Raises:
            ConfigError: Names file, key and reason.
        """
        for group in top.sections("values"):
            group.text("source")
            for key in group.names():
                if key != "source":
                    self._take(group, key)
            group.finish()

    def _take(self, group: Section, key: str) -> None:
        value = read_value(group, key)
        for name in expanded(key):
            if not is_quantity(name):
                raise group.error(key, f"has {name}, which is not a quantity")
            self.spans.pop(name, None)
            self.totals.pop(name, None)
            if isinstance(value, Total):
                self.totals[name] = value
            else:
                self.spans[name] = value


def read_value(group: Section, key: str) -> Span | Total:
    """Return what a key says: a number, one for idle and one for busy, or with a start, what grows by them a second."""
    if not isinstance(group.raw(key), Mapping):
        number = group.number(key, 0, UNLIMITED)
        return Span(number, number)
    section = group.section(key)
    span = read_span(section)
    value = Total(section.number("start", 0, UNLIMITED), span) if section.has("start") else span
    section.finish()
    return value


def read_span(section: Section, most: float = UNLIMITED) -> Span:
    """Return what a section with the keys idle and busy says, each from 0 to the most."""
    return Span(section.number("idle", 0, most), section.number("busy", 0, most))


def expanded(pattern: str) -> Iterator[str]:
    """Yield the names that a pattern stands for, as a shell reads it: `a_{x,y}`, `b_{0..3}`."""
    fixed, *rest = _BRACES.split(pattern)
    choices, texts = rest[::2], rest[1::2]
    for chosen in product(*map(_choices, choices)):
        yield fixed + "".join(part + text for part, text in zip(chosen, texts, strict=True))


def _choices(text: str) -> list[str]:
    numbers = _RANGE.fullmatch(text)
    return list(map(str, range(int(numbers[1]), int(numbers[2]) + 1))) if numbers else text.split(",")
