"""What a reading is: one NVML source and the DCGM fields that it answers. Declarations, no calls."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, NamedTuple

from exporter.model import Labels, Reason, Value

COLLECTION = 0.0
"""Period of readings that are taken at every collection (-c)."""

RING = 10.0
"""Longest period, in seconds, of rings of samples; the driver keeps 14 s of them."""

UNHURRIED = 10.0
"""Period, in seconds, of instant readings that take many milliseconds."""

SLOW = 60.0
"""Period, in seconds, of readings that change by an administrator's hand, or not for hours."""

HOURLY = 3600.0
"""Period, in seconds, of readings that keep the driver busy for a tenth of a second."""

LAYOUT = float("inf")
"""Period of readings that can't change until GPUs or MIG instances do."""

OWN = 1 << 16
"""Field id of this exporter's own series, behind all of DCGM's."""

LINKS = range(18)
"""The NVLinks that a GPU may have, by DCGM's names for them. A GPU refuses those that it does not have."""

ALL_LINKS = 0xFFFFFFFF
"""The scope id by which a field value sums over all NVLinks of a GPU."""


class Scope(Enum):
    """The finest entity that NVML answers a reading for. A GPU's NVLinks are asked one by one.

    LINK gives each link a series of its own, ALL_LINKS adds them up for their GPU. PEER gives a GPU one for each
    other GPU. PROCESS is this one.
    """

    SYSTEM = auto()
    PROCESS = auto()
    GPU = auto()
    INSTANCE = auto()
    LINK = auto()
    ALL_LINKS = auto()
    PEER = auto()


class Tracker(Enum):
    """What must be remembered between collections; sampling/trackers has one module for each."""

    CLOCK_EVENTS = auto()
    EVENTS = auto()
    GPM = auto()
    HEALTH = auto()
    LINK_REGISTERS = auto()
    PEERS = auto()
    RATES = auto()
    RINGS = auto()


@dataclass(frozen=True, slots=True)
class Field:
    """One series that a reading gives: its name, and how the answer becomes its value.

    `convert` returns the value in the field's unit, or the reason why the answer holds none.
    `labels` names what the answer says besides the value, as Prometheus labels.
    """

    name: str
    convert: Callable[[Any], Value | Reason]
    labels: Callable[[Any], Labels] | None = None


class Version(NamedTuple):
    """One version of an NVML function: its name in pynvml, and the arguments behind the handle."""

    function: str
    args: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Call:
    """One NVML function and the fields that its answer gives.

    `function` is a name in pynvml; it is called with the device's handle (none for Scope.SYSTEM, the number of this
    process for Scope.PROCESS), the number of the link (for Scope.LINK and Scope.ALL_LINKS) and `args`. `older` is what
    a driver that lacks it has in its place, newest first; the conversions take the answers of all. A function that
    fills a structure is given a new one, of the first kind in `fills` that the library knows, and that is the answer.
    `errors` are return codes that are answers, with what they say.
    """

    function: str
    fields: tuple[Field, ...]
    args: tuple[Any, ...] = ()
    scope: Scope = Scope.GPU
    period: float = COLLECTION
    accumulates: bool = False
    older: tuple[Version, ...] = ()
    fills: tuple[Callable[[], Any], ...] = ()
    errors: tuple[tuple[int, Any], ...] = ()

    @property
    def versions(self) -> tuple[Version, ...]:
        """All versions of the function, newest first."""
        return (Version(self.function, self.args), *self.older)


@dataclass(frozen=True, slots=True)
class FieldValue:
    """One of NVML's field values. All that are due go into one nvmlDeviceGetFieldValues.

    For Scope.LINK the scope ids are the links' numbers.
    """

    field_id: int
    fields: tuple[Field, ...]
    scope_id: int = 0
    scope: Scope = Scope.GPU
    period: float = COLLECTION
    accumulates: bool = False


@dataclass(frozen=True, slots=True)
class Tracked:
    """An answer that needs memory: a rate, an average between two samples, events counted since the start.

    `source` says which of the tracker's answers is meant; each tracker documents its own. With `is_total` the answer
    is what has come together since the tracker began, not the newest. `inputs` are the fields of other readings that
    the answer is made of; they are read with it.
    """

    tracker: Tracker
    source: tuple[int, ...]
    fields: tuple[Field, ...]
    scope: Scope = Scope.GPU
    period: float = COLLECTION
    accumulates: bool = False
    is_total: bool = False
    inputs: tuple[str, ...] = ()

    @property
    def pace(self) -> tuple[object, ...]:
        """What readings have in common that a tracker answers at the same time: each total goes its own way."""
        return self.period, self.accumulates, self.source if self.is_total else ()


Reading = Call | FieldValue | Tracked
"""What `accumulates` loses nothing however seldom it is read: it is read when a scrape is about to ask for it, while no
scraper's rhythm is known at each collection, and after its period at the latest."""
