"""A scenario: which GPUs a mock machine has, what drives them, what goes wrong, and which pods hold them. Data only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from exporter.mock.machine.demands import Demand
from exporter.mock.machine.fault import Fault
from exporter.mock.machine.loads import Load
from exporter.mock.machine.profile import MigProfile, Profile, Span


class CostPlay(StrEnum):
    """How a call takes as long as it took when it was recorded: the CPU works as it did then, or all is slept."""

    WORK = "work"
    SLEEP = "sleep"


@dataclass(frozen=True, slots=True)
class ScenarioInstance:
    """One GPU instance of a GPU that MIG divides.

    `start` is the memory slice it begins at, `compute` the slices of each of its compute instances. All compute
    instances follow the same load.
    """

    profile: MigProfile
    start: int
    compute: tuple[int, ...]
    load: Load


@dataclass(frozen=True, slots=True)
class ScenarioGpu:
    """One GPU.

    Attributes:
        profile: Its model.
        minor: The number in /dev/nvidiaN.
        load: What drives it; unused where it has instances, which then drive it together.
        has_nvlink: Whether its NVLinks answer.
        instances: How MIG divides it; empty where MIG is off.
        values: Quantities that differ from the profile's.
        faults: What goes wrong with it.
        costs: How calls take the time that they took when the profile's values were recorded; None for no time.
    """

    profile: Profile
    minor: int
    load: Load
    has_nvlink: bool = False
    instances: tuple[ScenarioInstance, ...] = ()
    values: Mapping[str, Span] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    costs: CostPlay | None = None


class IdForm(StrEnum):
    """How a device plugin names devices: by UUID, as NVIDIA's does, or by minor number, as GKE's does."""

    UUID = "uuid"
    DEVICE_NAME = "device-name"


@dataclass(frozen=True, slots=True)
class ScenarioDevice:
    """A GPU, a MIG device of it, or a share of either, by index, NVML's index of MIG devices, and replica number."""

    gpu: int
    mig: int | None = None
    replica: int | None = None


@dataclass(frozen=True, slots=True)
class ScenarioContainer:
    """A container and the devices that it holds, all of one resource; None is the usual one of each device."""

    name: str
    devices: tuple[ScenarioDevice, ...] = ()
    resource: str | None = None
    ids: IdForm = IdForm.UUID


@dataclass(frozen=True, slots=True)
class ScenarioPod:
    """A pod and its containers."""

    namespace: str
    name: str
    containers: tuple[ScenarioContainer, ...] = ()


@dataclass(frozen=True, slots=True)
class Scenario:
    """A mock machine. The same seed gives the same UUIDs and the same series. `faults` are NVML's as a whole."""

    seed: int
    driver: str
    gpus: tuple[ScenarioGpu, ...]
    demands: Mapping[str, Demand] = field(default_factory=dict)
    pods: tuple[ScenarioPod, ...] = ()
    faults: tuple[Fault, ...] = ()
