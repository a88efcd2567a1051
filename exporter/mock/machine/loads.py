"""Loads: how busy a GPU is over time, and what a replayed recording says beside that."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from exporter.mock.machine.signals import Constant, Signal

UTILIZATION = "gpu_utilization_percent"
RATE = "rate."
RING = "ring."


@dataclass(frozen=True, slots=True)
class Load:
    """What drives a GPU or a MIG instance.

    `activity` goes from 0 (idle) to 1 (fully busy). `recorded` are quantities that do not follow from the activity
    but are replayed as they were; under a name with RATE before it, what a total grows by in a second, and with RING
    before it, the samples that the driver took by itself. `demands` are names of the demands that decide instead, while
    the mock runs.
    """

    activity: Signal
    recorded: Mapping[str, Signal] = field(default_factory=dict)
    demands: frozenset[str] = frozenset()


def constant_load(percent: float) -> Load:
    """Return a load that never changes."""
    return Load(Constant(percent / 100))


def demand_load(demands: Iterable[str]) -> Load:
    """Return a load that follows the parts of demands that the holders of the device take; idle until then."""
    return Load(Constant(0.0), demands=frozenset(demands))
