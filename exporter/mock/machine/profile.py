"""GPU models: what each answers idle and busy, what it does not support, and how MIG may divide it. Data only."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from exporter.mock.recordings.recording import CallCost


@dataclass(frozen=True, slots=True)
class Span:
    """A quantity's value at no load and at full load."""

    idle: float
    busy: float


@dataclass(frozen=True, slots=True)
class Total:
    """What grows: its value when the mock begins, and its growth in a second at no load and at full load."""

    start: float
    rate: Span


@dataclass(frozen=True, slots=True)
class NvLink:
    """The NVLinks of a model, and what all of them together carry, in KiB per second."""

    links: int
    transmit: Span
    receive: Span
    is_default: bool


@dataclass(frozen=True, slots=True)
class MigProfile:
    """One kind of GPU instance.

    `memory_slices` is how many of the GPU's 8 it takes, `starts` at which it may begin, `first_id` the GPU instance
    id at the first of them.
    """

    name: str
    slices: int
    memory_slices: int
    starts: tuple[int, ...]
    first_id: int
    memory_mib: int


@dataclass(frozen=True, slots=True)
class Profile:
    """A GPU model.

    Attributes:
        name: The profile's name, such as h100-sxm.
        model: NVML's name of the GPU.
        quantities: What it answers, by quantity; what is not in here is not supported.
        totals: What of it grows, by quantity.
        texts: What it answers in words, by the name that the mock has for it.
        memory_total_bytes: The framebuffer.
        memory_reserved_bytes: What of it the driver keeps.
        averages_power: Whether nvmlDeviceGetPowerUsage is the mean over the last second rather than the present.
        pci_device_id: Device and vendor, as nvmlPciInfo_t has them.
        pci_subsystem_id: The board's, likewise.
        pci_buses: Bus numbers of its GPUs in one machine.
        nvlink: Its NVLinks, or None.
        mig: Kinds of GPU instances by name; empty where the model has no MIG.
        has_mig: Whether its MIG mode answers.
        not_supported: Patterns of DCGM's fields that it does not answer, as a person listed them, each with its source.
        driver: Driver version of the machine that the values are from.
        cuda_version: That driver's; 580 comes with CUDA 13.0.
        costs: What calls took on the machine that the values are from, by NVML's names; empty where that is not known.
    """

    name: str
    model: str
    quantities: Mapping[str, Span]
    totals: Mapping[str, Total]
    texts: Mapping[str, str]
    memory_total_bytes: int
    memory_reserved_bytes: int
    averages_power: bool
    pci_device_id: int
    pci_subsystem_id: int
    pci_buses: tuple[int, ...]
    nvlink: NvLink | None
    mig: Mapping[str, MigProfile]
    has_mig: bool
    not_supported: Mapping[str, str]
    driver: str
    cuda_version: int = 13000
    costs: Mapping[str, CallCost] = field(default_factory=dict)

    @property
    def has_gpm(self) -> bool:
        """Whether it has GPU performance monitoring."""
        return any(name.startswith("gpm.") for name in self.quantities)
