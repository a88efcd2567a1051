"""What takes a GPU away from its driver, or the driver away: an NVML that was started before does not see it again."""

from dataclasses import dataclass, replace
from typing import Any, Self

import pynvml

from exporter.mock.document import Section
from exporter.mock.machine.fault import Fault, Spell, SpellFault


@dataclass(frozen=True, slots=True)
class UnboundFault(SpellFault):
    """For a spell the GPU is not bound to the driver, as while a virtual machine has it."""

    def absence(self) -> Spell:
        """Return the spell."""
        return self.spell

    def ended(self, t: float) -> Fault | None:
        """Bind the GPU again; that it was gone stays so."""
        return replace(self, spell=self.spell.cut(t)) if self.spell.at_s <= t else None


@dataclass(frozen=True, slots=True)
class ReloadFault(Fault):
    """For a spell the driver is not loaded; afterwards it is `driver`."""

    spell: Spell
    driver: str

    @classmethod
    def read(cls, section: Section, at_s: float) -> Self:
        """Read for_s or until_s, and driver, the version that comes; the one that was there if it is absent."""
        return cls(Spell.read(section, at_s), section.text("driver", ""))

    def described(self) -> dict[str, Any]:
        """Return the spell's keys, and driver."""
        return {**self.spell.described(), **({"driver": self.driver} if self.driver else {})}

    def absence(self) -> Spell:
        """Return the spell."""
        return self.spell

    def error(self, function: str, t: float) -> int | None:
        """Fail the start."""
        return pynvml.NVML_ERROR_DRIVER_NOT_LOADED if function == "nvmlInit" and self.spell.has(t) else None
