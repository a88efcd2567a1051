"""The mock machine's GPUs and MIG devices: who they are, and what they answer."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

from exporter.mock.machine.call_costs import CallCosts
from exporter.mock.machine.drive import Drive
from exporter.mock.machine.gate import Gate
from exporter.mock.machine.gauges import Gauges, gpu_gauges, instance_gauges
from exporter.mock.machine.loads import Load
from exporter.mock.machine.placement import COMPUTE_SLICES, gpu_instance_id
from exporter.mock.machine.profile import MigProfile, Profile
from exporter.mock.machine.scenario import Scenario, ScenarioGpu
from exporter.mock.machine.signals import Mix


@dataclass(frozen=True, slots=True, eq=False)
class MockInstance:
    """A MIG device: one compute instance of a GPU instance. `index` counts the MIG devices of its GPU.

    `kind` is its profile as nvidia-smi prints it, such as 1c.3g.40gb. `drive` is the GPU instance's.
    """

    index: int
    uuid: str
    name: str
    kind: str
    gpu_instance_id: int
    compute_slices: int
    profile: MigProfile
    drive: Drive
    gauges: Gauges


@dataclass(slots=True, eq=False)
class MockGpu:
    """One GPU of the mock machine.

    `divided` are the MIG devices that it is divided into, in the order of their GPU instance ids; where there are any,
    their drives are its drive. `instances` are those that are there. All three may change while the machine runs.
    """

    index: int
    minor: int
    uuid: str
    pci_bus: int
    profile: Profile
    drive: Drive
    gauges: Gauges
    instances: tuple[MockInstance, ...]
    divided: tuple[MockInstance, ...]
    gate: Gate
    costs: CallCosts
    is_mig_on: bool

    def present(self) -> tuple[MockInstance, ...]:
        """Return the MIG devices that faults leave now."""
        left = self.gate.mig_devices()
        return self.divided if left is None else tuple(one for one in self.divided if one.index in left)

    @property
    def links(self) -> int:
        """How many NVLinks it has; none where the scenario leaves them out."""
        return self.profile.nvlink.links if self.profile.nvlink and "nvlink_received_kib" in self.gauges.values else 0

    def value(self, quantity: str, t: float, link: int | None = None) -> float | None:
        """Return a quantity at a time, of the GPU or of one of its NVLinks; None for one that it does not have."""
        values = self.gauges.values
        found = values.get(f"{quantity}.{link}", values.get(quantity))
        return None if found is None else self.gate.altered(found.value(t), quantity, t, link)

    @property
    def is_divided(self) -> bool:
        """Whether it has MIG devices."""
        return bool(self.instances)


def build_gpus(scenario: Scenario, now: Callable[[], float]) -> tuple[MockGpu, ...]:
    """Return the GPUs of a scenario, in the order of their indices.

    Args:
        scenario: Which GPUs there are.
        now: Returns the seconds since the mock began.
    """
    places = zip(scenario.gpus, _pci_buses(scenario), strict=True)
    return tuple(_build_gpu(gpu, (scenario.seed, index), bus, now) for index, (gpu, bus) in enumerate(places))


def _build_gpu(gpu: ScenarioGpu, identity: tuple[int, int], bus: int, now: Callable[[], float]) -> MockGpu:
    drives = tuple(Drive(instance.load) for instance in gpu.instances)
    parts = (
        (instance.profile.slices / COMPUTE_SLICES, drive) for instance, drive in zip(gpu.instances, drives, strict=True)
    )
    load = Load(Mix(tuple((share, drive.activity) for share, drive in parts))) if drives else gpu.load
    drive = Drive(load)
    instances = _build_instances(gpu, drives, identity)
    return MockGpu(
        index=identity[1],
        minor=gpu.minor,
        uuid=f"GPU-{_uuid(*identity)}",
        pci_bus=bus,
        profile=gpu.profile,
        drive=drive,
        gauges=gpu_gauges(gpu, drive),
        instances=instances,
        divided=instances,
        gate=Gate(gpu.faults, now),
        costs=CallCosts(gpu.profile.costs, gpu.costs),
        is_mig_on=bool(drives),
    )


def _build_instances(
    gpu: ScenarioGpu, drives: tuple[Drive, ...], identity: tuple[int, int]
) -> tuple[MockInstance, ...]:
    driven = zip(gpu.instances, drives, strict=True)
    by_id = {gpu_instance_id(instance.profile, instance.start): (instance, drive) for instance, drive in driven}
    devices: list[MockInstance] = []
    for gi, (instance, drive) in sorted(by_id.items()):
        gauges = instance_gauges(gpu, instance, drive)
        for ci, slices in enumerate(instance.compute):
            kind = instance.profile.name if slices == instance.profile.slices else f"{slices}c.{instance.profile.name}"
            devices.append(
                MockInstance(
                    index=len(devices),
                    uuid=f"MIG-{_uuid(*identity, gi, ci)}",
                    name=f"{gpu.profile.model} MIG {kind}",
                    kind=kind,
                    gpu_instance_id=gi,
                    compute_slices=slices,
                    profile=instance.profile,
                    drive=drive,
                    gauges=gauges,
                )
            )
    return tuple(devices)


def _pci_buses(scenario: Scenario) -> list[int]:
    """Return a bus number for each GPU: its profile's next one, or the next free one where that is taken."""
    buses: list[int] = []
    for gpu in scenario.gpus:
        candidates = (*gpu.profile.pci_buses, *range(1, 256))
        buses.append(next(bus for bus in candidates if bus not in buses))
    return buses


def _uuid(*identity: int) -> uuid.UUID:
    digest = sha256(":".join(map(str, identity)).encode()).digest()
    return uuid.UUID(bytes=digest[:16], version=4)
