"""The kinds of faults that a mock machine knows, by the names that scenarios and steering give them.

A new kind is a class in `call_faults` or `hardware_faults`, and its name here.
"""

from collections.abc import Mapping
from math import inf
from typing import Any

from exporter.mock.document import Section
from exporter.mock.machine.absences import ReloadFault, UnboundFault
from exporter.mock.machine.call_faults import DeniedFault, HangFault, LostFault, MissingFault, SlowFault
from exporter.mock.machine.fault import Fault
from exporter.mock.machine.hardware_faults import (
    EccFault,
    InforomFault,
    MigFault,
    NvLinkFault,
    ReplaysFault,
    RowRemapFault,
    ThrottleFault,
    XidFault,
)

KINDS: Mapping[str, type[Fault]] = {
    "lost": LostFault,
    "hang": HangFault,
    "slow": SlowFault,
    "denied": DeniedFault,
    "xid": XidFault,
    "ecc": EccFault,
    "row-remap": RowRemapFault,
    "pcie-replays": ReplaysFault,
    "nvlink": NvLinkFault,
    "throttle": ThrottleFault,
    "inforom": InforomFault,
    "mig": MigFault,
    "unbound": UnboundFault,
}
"""What may go wrong with a GPU."""

MACHINE_KINDS: Mapping[str, type[Fault]] = {
    "missing": MissingFault,
    "driver-reload": ReloadFault,
    "hang": HangFault,
    "slow": SlowFault,
    "denied": DeniedFault,
}
"""What may go wrong with NVML as a whole, when it is started."""


def read_fault(section: Section, default_at_s: float | None = None, kinds: Mapping[str, type[Fault]] = KINDS) -> Fault:
    """Return the fault that a section describes.

    Args:
        section: A mapping with the key kind.
        default_at_s: When it begins where the section does not say; None requires it.
        kinds: What it may be.

    Raises:
        ConfigError: Names file, key and reason.
    """
    kind = kinds[section.choice("kind", tuple(kinds))]
    fault = kind.read(section, section.number("at_s", 0, inf, default_at_s))
    section.finish()
    return fault


def describe_fault(fault: Fault) -> dict[str, Any]:
    """Return a fault as a scenario would describe it."""
    kind = next(name for name, kind in {**KINDS, **MACHINE_KINDS}.items() if isinstance(fault, kind))
    return {"kind": kind, **fault.described()}
