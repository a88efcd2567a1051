"""Faults of calls: they fail, hang or take long. What the GPU would answer stays what it is."""

from dataclasses import dataclass
from math import inf
from typing import Any, Self

import pynvml

from exporter.mock.document import Section
from exporter.mock.machine.fault import Fault, Spell, SpellFault, read_functions


@dataclass(frozen=True, slots=True)
class LostFault(SpellFault):
    """For a spell every call on the GPU raises GPU_IS_LOST."""

    def error(self, _function: str, t: float) -> int | None:
        """Fail every function."""
        return pynvml.NVML_ERROR_GPU_IS_LOST if self.spell.has(t) else None


@dataclass(frozen=True, slots=True)
class MissingFault(SpellFault):
    """For a spell there is no NVML: it does not start. What has been started keeps running, like a loaded library."""

    def error(self, function: str, t: float) -> int | None:
        """Fail the start."""
        return pynvml.NVML_ERROR_LIBRARY_NOT_FOUND if function == "nvmlInit" and self.spell.has(t) else None


@dataclass(frozen=True, slots=True)
class _Chosen(Fault):
    """A fault of the calls of some functions; none means all of them."""

    spell: Spell
    functions: frozenset[str]

    @classmethod
    def read(cls, section: Section, at_s: float) -> Self:
        """Read for_s or until_s, and functions."""
        return cls(Spell.read(section, at_s), read_functions(section))

    def described(self) -> dict[str, Any]:
        """Return the spell's keys, and functions."""
        return {**self.spell.described(), "functions": sorted(self.functions)}

    def meets(self, function: str, t: float) -> bool:
        """Say whether a call of a function at a time has the fault."""
        return self.spell.has(t) and (not self.functions or function in self.functions)


@dataclass(frozen=True, slots=True)
class HangFault(_Chosen):
    """Calls that are made in a spell return only after it, or when they are released."""

    def holds(self, function: str, t: float) -> bool:
        """Hang one of its functions, or any."""
        return self.meets(function, t)


@dataclass(frozen=True, slots=True)
class DeniedFault(_Chosen):
    """For a spell calls raise NO_PERMISSION, as for a process that may not ask."""

    def error(self, function: str, t: float) -> int | None:
        """Deny one of its functions, or any."""
        return pynvml.NVML_ERROR_NO_PERMISSION if self.meets(function, t) else None


@dataclass(frozen=True, slots=True)
class SlowFault(_Chosen):
    """Calls that are made in a spell take some seconds longer."""

    seconds: float

    @classmethod
    def read(cls, section: Section, at_s: float) -> Self:
        """Read for_s or until_s, functions and seconds."""
        return cls(Spell.read(section, at_s), read_functions(section), section.number("seconds", 0, inf))

    def described(self) -> dict[str, Any]:
        """Return the spell's keys, functions and seconds."""
        return {**self.spell.described(), "functions": sorted(self.functions), "seconds": self.seconds}

    def delay_s(self, function: str, t: float) -> float:
        """Delay one of its functions, or any."""
        return self.seconds if self.meets(function, t) else 0.0
