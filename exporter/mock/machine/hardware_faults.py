"""Faults of the hardware: what the driver reports and counts of them, and what of the GPU is altered."""

from dataclasses import dataclass, replace
from math import inf
from typing import Any, ClassVar, Self

import pynvml

from exporter.errors import describe
from exporter.mock.document import Section
from exporter.mock.machine.fault import DriverEvent, Fault, Spell, SpellFault

NS = 1e9


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

    def ended(self, t: float) -> Fault | None:
        """Leave what has been reported."""
        return self if self.xid.at_s <= t else None

    def event(self) -> DriverEvent | None:
        """Return the Xid."""
        return self.xid


@dataclass(frozen=True, slots=True)
class Errors:
    """How many errors there are: `count` at the begin of a spell, and `per_s` each second of it. They stay counted."""

    spell: Spell
    count: float
    per_s: float

    @classmethod
    def read(cls, section: Section, at_s: float) -> Self:
        """Read for_s or until_s, count and per_s; without both one error."""
        per_s = section.number("per_s", 0, inf, 0)
        count = section.number("count", 0, inf, 0 if section.has("per_s") else 1)
        return cls(Spell.read(section, at_s), count, per_s)

    def described(self) -> dict[str, Any]:
        """Return its keys."""
        return {**self.spell.described(), "count": self.count, "per_s": self.per_s}

    def until(self, t: float) -> float:
        """Return how many there have been at a time."""
        return self.count + self.per_s * self.spell.passed_s(t) if t >= self.spell.at_s else 0.0

    def ended(self, t: float) -> "Errors | None":
        """Return what is left if no new errors occur from a time on."""
        spell = self.spell.ended(t)
        return replace(self, spell=spell) if spell else None


@dataclass(frozen=True, slots=True, eq=False)
class ErrorsFault(Fault):
    """Something that is counted."""

    errors: Errors

    def ended(self, t: float) -> Fault | None:
        """Leave what has been counted."""
        errors = self.errors.ended(t)
        return replace(self, errors=errors) if errors else None


@dataclass(frozen=True, slots=True, eq=False)
class ReplaysFault(ErrorsFault):
    """PCIe transfers that had to be repeated."""

    @classmethod
    def read(cls, section: Section, at_s: float) -> Self:
        """Read the errors' keys."""
        return cls(Errors.read(section, at_s))

    def described(self) -> dict[str, Any]:
        """Return the errors' keys."""
        return self.errors.described()

    def altered(self, value: float, quantity: str, t: float, _link: int | None) -> float:
        """Count them."""
        return value + self.errors.until(t) if quantity == "pcie_replay_count" else value


@dataclass(frozen=True, slots=True, eq=False)
class EccFault(ErrorsFault):
    """Memory errors that ECC found in the framebuffer, corrected or not; the driver reports the first."""

    is_corrected: bool
    report: DriverEvent

    CHOICES: ClassVar = ("corrected", "uncorrected")

    @classmethod
    def read(cls, section: Section, at_s: float) -> Self:
        """Read errors, corrected or uncorrected, and the errors' keys."""
        is_corrected = section.choice("errors", cls.CHOICES) == "corrected"
        single, double = pynvml.nvmlEventTypeSingleBitEccError, pynvml.nvmlEventTypeDoubleBitEccError
        report = DriverEvent(at_s, single if is_corrected else double, 0, None)
        return cls(Errors.read(section, at_s), is_corrected, report)

    def described(self) -> dict[str, Any]:
        """Return errors, and the errors' keys."""
        return {**self.errors.described(), "errors": self.CHOICES[not self.is_corrected]}

    def event(self) -> DriverEvent | None:
        """Return the ECC event."""
        return self.report

    def altered(self, value: float, quantity: str, t: float, _link: int | None) -> float:
        """Count them, in all and in the framebuffer, since the driver was loaded and ever."""
        kind = "sbe" if self.is_corrected else "dbe"
        totals = {f"field.ECC_{kind.upper()}_{life}_TOTAL" for life in ("VOL", "AGG")}
        places = {f"ecc_{kind}_{life}_dram" for life in ("volatile", "aggregate")}
        return value + self.errors.until(t) if quantity in totals | places else value


NVLINK_ERRORS = {
    "replay": frozenset({"nvlink_replay_errors"}),
    "recovery": frozenset({"nvlink_recovery_errors", "field.NVLINK_COUNT_LINK_RECOVERY_EVENTS"}),
    "crc": frozenset({"nvlink_crc_flit_errors"}),
    "symbol": frozenset({"field.NVLINK_COUNT_SYMBOL_ERRORS"}),
}
"""What counts each kind: up to NVLink 4 for each link, from 5 on over all."""


@dataclass(frozen=True, slots=True, eq=False)
class NvLinkFault(ErrorsFault):
    """Errors of NVLinks, or links that are down for a spell; of one link, or of each."""

    kind: str
    link: int | None

    @classmethod
    def read(cls, section: Section, at_s: float) -> Self:
        """Read error, link and the errors' keys."""
        kind = section.choice("error", (*NVLINK_ERRORS, "down"))
        link = section.integer("link", 0, 17) if section.has("link") else None
        return cls(Errors.read(section, at_s), kind, link)

    def described(self) -> dict[str, Any]:
        """Return error, link and the errors' keys."""
        return {**self.errors.described(), "error": self.kind, "link": self.link}

    def altered(self, value: float, quantity: str, t: float, link: int | None) -> float:
        """Count the errors, or let the link be down."""
        if link is not None and self.link not in {None, link}:
            return value
        if self.kind == "down":
            return 0 if quantity == "nvlink_state" and self.errors.spell.has(t) else value
        return value + self.errors.until(t) if quantity in NVLINK_ERRORS[self.kind] else value


THROTTLES = {
    "heat": (
        pynvml.nvmlClocksThrottleReasonSwThermalSlowdown,
        frozenset({"field.PERF_POLICY_THERMAL", "field.CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN"}),
    ),
    "hardware-heat": (
        pynvml.nvmlClocksThrottleReasonHwThermalSlowdown | pynvml.nvmlClocksThrottleReasonHwSlowdown,
        frozenset({"field.PERF_POLICY_THERMAL", "field.CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN"}),
    ),
    "power": (
        pynvml.nvmlClocksThrottleReasonSwPowerCap,
        frozenset({"field.PERF_POLICY_POWER", "field.CLOCKS_EVENT_REASON_SW_POWER_CAP"}),
    ),
    "power-brake": (
        pynvml.nvmlClocksThrottleReasonHwPowerBrakeSlowdown | pynvml.nvmlClocksThrottleReasonHwSlowdown,
        frozenset({"field.PERF_POLICY_POWER", "field.CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN"}),
    ),
}
"""What holds clocks down: the bits of clock_event_reasons, and the nanoseconds that grow meanwhile."""


@dataclass(frozen=True, slots=True, eq=False)
class ThrottleFault(Fault):
    """For a spell clocks are held down to some percent of what they would be."""

    spell: Spell
    by: str
    percent: float

    @classmethod
    def read(cls, section: Section, at_s: float) -> Self:
        """Read for_s or until_s, by and percent."""
        by = section.choice("by", tuple(THROTTLES))
        return cls(Spell.read(section, at_s), by, section.number("percent", 0, 100, 50))

    def described(self) -> dict[str, Any]:
        """Return the spell's keys, by and percent."""
        return {**self.spell.described(), "by": self.by, "percent": self.percent}

    def ended(self, t: float) -> Fault | None:
        """Leave for how long clocks were held down."""
        spell = self.spell.ended(t)
        return replace(self, spell=spell) if spell else None

    def altered(self, value: float, quantity: str, t: float, _link: int | None) -> float:
        """Lower the clocks, say why, and count the time."""
        bits, counters = THROTTLES[self.by]
        if quantity in counters:
            return value + self.spell.passed_s(t) * NS
        if not self.spell.has(t):
            return value
        if quantity in {"graphics_clock_mhz", "sm_clock_mhz"}:
            return value * self.percent / 100
        return int(value) | bits if quantity == "clock_event_reasons" else value


REMAPPING = {"pending": "remapped_rows_pending", "failed": "remapped_rows_failure"}


@dataclass(frozen=True, slots=True)
class RowRemapFault(Fault):
    """For a spell a row of the framebuffer waits to be remapped, or could not be."""

    spell: Spell
    state: str

    @classmethod
    def read(cls, section: Section, at_s: float) -> Self:
        """Read for_s or until_s, and state."""
        return cls(Spell.read(section, at_s), section.choice("state", tuple(REMAPPING)))

    def described(self) -> dict[str, Any]:
        """Return the spell's keys, and state."""
        return {**self.spell.described(), "state": self.state}

    def altered(self, value: float, quantity: str, t: float, _link: int | None) -> float:
        """Say so."""
        return 1 if quantity == REMAPPING[self.state] and self.spell.has(t) else value


@dataclass(frozen=True, slots=True)
class InforomFault(SpellFault):
    """For a spell the InfoROM is corrupt."""

    def altered(self, value: float, quantity: str, t: float, _link: int | None) -> float:
        """Let its validation fail."""
        return 0 if quantity == "inforom_valid" and self.spell.has(t) else value


@dataclass(frozen=True, slots=True, eq=False)
class MigFault(Fault):
    """For a spell only some of the GPU's MIG devices are there; then all of them are made again."""

    spell: Spell
    devices: frozenset[int]
    report: DriverEvent

    @classmethod
    def read(cls, section: Section, at_s: float) -> Self:
        """Read for_s or until_s, and devices, the indices of those that are left."""
        devices = section.items("devices")
        wrong = [device for device in devices if type(device) is not int or device < 0]
        if wrong:
            raise section.error("devices", f"has {describe(wrong[0])}; expected indices of the GPU's MIG devices")
        report = DriverEvent(at_s, pynvml.nvmlEventMigConfigChange, 0, None)
        return cls(Spell.read(section, at_s), frozenset(devices), report)

    def described(self) -> dict[str, Any]:
        """Return the spell's keys, and devices."""
        return {**self.spell.described(), "devices": sorted(self.devices)}

    def event(self) -> DriverEvent | None:
        """Return the change of MIG's configuration."""
        return self.report

    def mig_devices(self, t: float) -> frozenset[int] | None:
        """Return those that are left."""
        return self.devices if self.spell.has(t) else None
