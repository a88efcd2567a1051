"""The data that flows through the exporter: entities, samples and snapshots.

Frozen values only. This module knows nothing of NVML, Prometheus or Kubernetes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, Protocol

Value = int | float | str
Labels = tuple[tuple[str, str], ...]


class Clock(Protocol):
    """What is used of the standard module `time`, so that a test can hand in a clock of its own."""

    def monotonic(self) -> float:
        """Return seconds that never go back."""

    def time(self) -> float:
        """Return seconds since the epoch."""


class Reason(StrEnum):
    """Why a value is missing: the closed set that telemetry, log and tests share."""

    NOT_SUPPORTED = "not_supported"
    NOT_PERMITTED = "not_permitted"
    NO_SAMPLE_YET = "no_sample_yet"
    NOT_A_NUMBER = "not_a_number"
    OUT_OF_RANGE = "out_of_range"
    UNREADABLE = "unreadable"
    GPU_LOST = "gpu_lost"
    DRIVER_GONE = "driver_gone"
    TIMEOUT = "timeout"
    NO_THREAD = "no_thread"
    RELEASED = "released"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Gpu:
    """One physical GPU as NVML numbers and names it.

    `index` is NVML's, `minor` the number in /dev/nvidiaN; the two may differ.
    `pci_bus_id` has DCGM's form, 00000000:1A:00.0.
    """

    index: int
    uuid: str
    pci_bus_id: str
    minor: int
    model: str


@dataclass(frozen=True, slots=True)
class Instance:
    """One MIG GPU instance, with the UUIDs of the MIG devices (its compute instances) that pods are given.

    Memory and profiling belong to the GPU instance, so however it is cut into compute instances, it has one series.
    """

    gpu_instance_id: int
    profile: str
    uuids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Entity:
    """What a value is about: a GPU, a MIG instance of it, or one of its NVLinks."""

    gpu: Gpu
    instance: Instance | None = None
    link: int | None = None
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        instance_id = self.instance and self.instance.gpu_instance_id
        object.__setattr__(self, "_hash", hash((self.gpu.uuid, instance_id, self.link)))

    def __hash__(self) -> int:
        return self._hash  # kept, because rendering asks for it for every series


class Holder(NamedTuple):
    """A container that an entity is allocated to."""

    namespace: str
    pod: str
    container: str


@dataclass(frozen=True, slots=True)
class Owner:
    """One container that an entity is allocated to.

    `labels` are the pod's own labels, ready to print; `extra` are further built-in ones (dra_*, hpc_job, vgpu).
    """

    holder: Holder
    labels: Labels = ()
    extra: Labels = ()


Owners = Mapping[Entity, tuple[Owner, ...]]
"""Who holds each entity; an absent or empty entry prints empty labels. Links inherit their GPU's owners."""


class Sample(NamedTuple):
    """One value of one field of one entity, and when it stops being true (monotonic seconds)."""

    entity: Entity
    field: str
    value: Value
    expires: float
    labels: Labels = ()


class Attribution(NamedTuple):
    """Who owns each entity, and the series that say how that is known."""

    owners: Owners
    info: tuple[Sample, ...] = ()


class Missing(NamedTuple):
    """A field that an entity can't give at the moment, and why; `because` is for people, where a reason needs more."""

    entity: Entity
    field: str
    reason: Reason
    because: str = ""


class Cost(NamedTuple):
    """What one collection took: seconds in all, seconds of them within NVML, and how many NVML calls."""

    total_s: float
    nvml_s: float
    nvml_calls: int


@dataclass(frozen=True, slots=True)
class DeviceSnapshot:
    """The newest samples of one GPU and of all its instances and links.

    `taken` is monotonic, `taken_at` seconds since the epoch. From `expires` (monotonic) on, nothing in it is
    true, whatever its samples say. `gone` says why the whole GPU is not responding, if it is not.
    `accumulated_at` is when the oldest value was read that is taken for scrapes alone, as it accumulates meanwhile.
    """

    gpu: Gpu
    taken: float
    taken_at: float
    expires: float
    samples: tuple[Sample, ...]
    missing: tuple[Missing, ...]
    cost: Cost
    gone: Reason | None = None
    accumulated_at: float | None = None


class Condition(StrEnum):
    """How a GPU is."""

    STARTING = "starting"
    SAMPLED = "sampled"
    LOST = "lost"
    HANGING = "hanging"
    RELEASED = "released"


@dataclass(frozen=True, slots=True)
class GpuState:
    """A GPU's condition, newest snapshot, and what of it is exported; `gpu` is None where it never told its name."""

    index: int
    gpu: Gpu | None
    condition: Condition
    snapshot: DeviceSnapshot | None
    entities: tuple[Entity, ...] = ()


AskedNames = frozenset[str] | None
"""The names of series that a scrape asks for; None where it asks for all."""


class Page(NamedTuple):
    """One rendered exposition, plain and compressed, and the earliest moment at which a sample in it expires."""

    text: bytes
    gzip: bytes
    expires: float
