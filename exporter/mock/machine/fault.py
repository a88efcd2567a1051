"""What a fault of a mock machine is, and when it is under way. Times are seconds since the mock began."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import inf, isinf
from typing import Any, Protocol, Self

import pynvml

from exporter.errors import describe
from exporter.mock.document import Section


@dataclass(frozen=True, slots=True, eq=False)
class DriverEvent:
    """What the driver reports once, at `at_s`: a type and data as NVML has them, and the GPU instance where known.

    Two alike are two events.
    """

    at_s: float
    type: int
    data: int
    gpu_instance_id: int | None


class Fault(Protocol):
    """Something that goes wrong. A kind overrides what it does; everything else is unaffected."""

    @classmethod
    def read(cls, section: Section, at_s: float) -> Self:
        """Return the fault that a section describes, beginning at a time; raises ConfigError."""
        ...

    def described(self) -> dict[str, Any]:
        """Return the keys that describe it in a scenario, but for its kind."""
        ...

    def ended(self, _t: float) -> "Fault | None":
        """Return what is left of it after a repair at a time; None for nothing."""
        return None

    def holds(self, _function: str, _t: float) -> bool:
        """Say whether a call of a function hangs at a time."""
        return False

    def delay_s(self, _function: str, _t: float) -> float:
        """Return for how many seconds a call of a function that is made at a time takes longer."""
        return 0.0

    def error(self, _function: str, _t: float) -> int | None:
        """Return the NVML code with which a call of a function fails at a time; None where it does not."""
        return None

    def event(self) -> DriverEvent | None:
        """Return what the driver reports of it, the same event each time; None for nothing."""
        return None

    def altered(self, value: float, _quantity: str, _t: float, _link: int | None) -> float:
        """Return what becomes of a quantity's value at a time; `link` is the NVLink that it is about, if any."""
        return value

    def absence(self) -> "Spell | None":
        """Return for how long it takes the GPU, or the driver, away; None for not at all."""
        return None

    def mig_devices(self, _t: float) -> frozenset[int] | None:
        """Return which of the scenario's MIG devices are there at a time, by their indices; None for all."""
        return None


@dataclass(frozen=True, slots=True)
class Spell:
    """From `at_s` until just before `until_s`."""

    at_s: float
    until_s: float

    @classmethod
    def read(cls, section: Section, at_s: float) -> Self:
        """Return the spell that begins at a time and ends as for_s or until_s says, or never."""
        if section.has("for_s") and section.has("until_s"):
            raise section.error("for_s", "is set together with until_s; set only one")
        if section.has("for_s"):
            return cls(at_s, at_s + section.number("for_s", 0, inf))
        return cls(at_s, section.number("until_s", at_s, inf, inf))

    def described(self) -> dict[str, Any]:
        """Return its keys; the end is null for never, since JSON knows no infinity."""
        return {"at_s": self.at_s, "until_s": None if isinf(self.until_s) else self.until_s}

    def cut(self, t: float) -> "Spell":
        """Return the spell with an end at a time, if it does not end before."""
        return Spell(self.at_s, min(self.until_s, t))

    def has(self, t: float) -> bool:
        """Say whether a time is within it."""
        return self.at_s <= t < self.until_s

    def passed_s(self, t: float) -> float:
        """Return how much of it is over at a time."""
        return max(min(t, self.until_s) - self.at_s, 0.0)

    def ended(self, t: float) -> "Spell | None":
        """Return what there was of it until a time; None where it had not begun."""
        return replace(self, until_s=min(self.until_s, t)) if self.at_s <= t else None


@dataclass(frozen=True, slots=True)
class SpellFault(Fault):
    """A fault of which there is nothing to say but when it is."""

    spell: Spell

    @classmethod
    def read(cls, section: Section, at_s: float) -> Self:
        """Read for_s or until_s."""
        return cls(Spell.read(section, at_s))

    def described(self) -> dict[str, Any]:
        """Return the spell's keys."""
        return self.spell.described()


def read_functions(section: Section) -> frozenset[str]:
    """Return the names of pynvml's functions under the key functions; none where it is absent."""
    return frozenset(_functions(section))


def _functions(section: Section) -> Iterator[str]:
    for name in section.items("functions"):
        if not isinstance(name, str) or not callable(getattr(pynvml, name, None)):
            raise section.error("functions", f"has {describe(name)}; expected names of pynvml's functions")
        yield name
