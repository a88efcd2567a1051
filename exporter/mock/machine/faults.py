"""What goes wrong with a mock GPU: one class a kind, which says what happens and reads itself from a scenario.

A new kind is a class here and its name in KINDS. Times are seconds since the mock began.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf, isinf
from typing import Any, Protocol, Self

import pynvml

from exporter.errors import describe
from exporter.mock.document import Section


@dataclass(frozen=True, slots=True)
class DriverEvent:
    """What the driver reports once, at `at_s`: a type and data as NVML has them, and the GPU instance where known."""

    at_s: float
    type: int
    data: int
    gpu_instance_id: int | None


class Fault(Protocol):
    """Something that goes wrong with a GPU. A kind overrides what it does; all the rest goes on as if it were not."""

    @classmethod
    def read(cls, section: Section, at_s: float) -> Self:
        """Return the fault that a section describes, beginning at a time; raises ConfigError."""
        ...

    def described(self) -> dict[str, Any]:
        """Return the keys that describe it in a scenario, but for its kind."""
        ...

    def holds(self, _function: str, _t: float) -> bool:
        """Say whether a call of a function hangs at a time."""
        return False

    def error(self, _function: str, _t: float) -> int | None:
        """Return the NVML code with which a call of a function fails at a time; None where it does not."""
        return None

    def event(self) -> DriverEvent | None:
        """Return what the driver reports of it; None for nothing."""
        return None

    def altered(self, value: float, _quantity: str, _t: float, _link: int | None) -> float:
        """Return what becomes of a quantity's value at a time; `link` is the NVLink that it is about, if any."""
        return value


@dataclass(frozen=True, slots=True)
class Spell:
    """From `at_s` until just before `until_s`."""

    at_s: float
    until_s: float

    @classmethod
    def read(cls, section: Section, at_s: float) -> Self:
        """Return the spell that begins at a time and ends as for_s or until_s says, or never."""
        if section.has("for_s") and section.has("until_s"):
            raise section.error("for_s", "is set beside until_s, one of the two is needed")
        if section.has("for_s"):
            return cls(at_s, at_s + section.number("for_s", 0, inf))
        return cls(at_s, section.number("until_s", at_s, inf, inf))

    def described(self) -> dict[str, Any]:
        """Return its keys; the end is null for never, since JSON knows no infinity."""
        return {"at_s": self.at_s, "until_s": None if isinf(self.until_s) else self.until_s}

    def has(self, t: float) -> bool:
        """Say whether a time is within it."""
        return self.at_s <= t < self.until_s


@dataclass(frozen=True, slots=True)
class LostFault(Fault):
    """For a spell every call on the GPU raises GPU_IS_LOST."""

    spell: Spell

    @classmethod
    def read(cls, section: Section, at_s: float) -> Self:
        """Read for_s or until_s."""
        return cls(Spell.read(section, at_s))

    def described(self) -> dict[str, Any]:
        """Return the spell's keys."""
        return self.spell.described()

    def error(self, _function: str, t: float) -> int | None:
        """Fail every function."""
        return pynvml.NVML_ERROR_GPU_IS_LOST if self.spell.has(t) else None


@dataclass(frozen=True, slots=True)
class HangFault(Fault):
    """Calls on the GPU that are made in a spell return only after it, or when they are released.

    `functions` are the pynvml names that hang; none means all of them.
    """

    spell: Spell
    functions: frozenset[str]

    @classmethod
    def read(cls, section: Section, at_s: float) -> Self:
        """Read for_s or until_s, and functions."""
        return cls(Spell.read(section, at_s), frozenset(_functions(section)))

    def described(self) -> dict[str, Any]:
        """Return the spell's keys, and functions."""
        return {**self.spell.described(), "functions": sorted(self.functions)}

    def holds(self, function: str, t: float) -> bool:
        """Hang one of its functions, or any."""
        return self.spell.has(t) and (not self.functions or function in self.functions)


@dataclass(frozen=True, slots=True, eq=False)
class XidFault(Fault):
    """An Xid error that the driver reports. Two alike are two errors."""

    xid: DriverEvent

    @classmethod
    def read(cls, section: Section, at_s: float) -> Self:
        """Read code and gpu_instance."""
        instance = section.integer("gpu_instance", 0, 14) if section.has("gpu_instance") else None
        code = section.integer("code", 1, 2**32)
        return cls(DriverEvent(at_s, pynvml.nvmlEventTypeXidCriticalError, code, instance))

    def described(self) -> dict[str, Any]:
        """Return at_s, code and gpu_instance."""
        return {"at_s": self.xid.at_s, "code": self.xid.data, "gpu_instance": self.xid.gpu_instance_id}

    def event(self) -> DriverEvent | None:
        """Return the Xid."""
        return self.xid


KINDS: dict[str, type[Fault]] = {"lost": LostFault, "hang": HangFault, "xid": XidFault}


def read_fault(section: Section, default_at_s: float | None = None) -> Fault:
    """Return the fault that a section describes.

    Args:
        section: A mapping with the key kind.
        default_at_s: When it begins where the section does not say; None requires it.

    Raises:
        ConfigError: Names file, key and reason.
    """
    kind = KINDS[section.choice("kind", tuple(KINDS))]
    fault = kind.read(section, section.number("at_s", 0, inf, default_at_s))
    section.finish()
    return fault


def describe_fault(fault: Fault) -> dict[str, Any]:
    """Return a fault as a scenario would describe it."""
    kind = next(name for name, kind in KINDS.items() if isinstance(fault, kind))
    return {"kind": kind, **fault.described()}


def _functions(section: Section) -> Iterator[str]:
    for name in section.items("functions"):
        if not isinstance(name, str) or not callable(getattr(pynvml, name, None)):
            raise section.error("functions", f"has {describe(name)}, names of pynvml's functions are needed")
        yield name
