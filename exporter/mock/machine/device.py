"""The mock machine's GPUs and MIG devices: who they are, what they answer, and the gate that faults close."""

import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

import pynvml

from exporter.mock.machine.drive import Drive
from exporter.mock.machine.faults import Fault, Faults
from exporter.mock.machine.gauges import Gauges, gpu_gauges, instance_gauges
from exporter.mock.machine.loads import Load
from exporter.mock.machine.placement import COMPUTE_SLICES, gpu_instance_id
from exporter.mock.machine.profile import MigProfile, Profile
from exporter.mock.machine.scenario import Scenario, ScenarioGpu
from exporter.mock.machine.signals import Mix

POLL_S = 0.005
"""How often a call that hangs looks at its clock."""


class Gate:
    """What every call on a GPU passes first: a fault keeps the thread there, or turns it away.

    Changes must come one at a time; calls may pass meanwhile.

    Attributes:
        faults: What goes wrong with the GPU.

    Args:
        faults: What goes wrong with it from the start.
        now: Returns the seconds since the mock began.
    """

    def __init__(self, faults: Faults, now: Callable[[], float]) -> None:
        self.faults = faults
        self._now = now
        self._released = threading.Event()

    def enter(self, function: str) -> None:
        """Let a call of a function through, after a hang where there is one.

        Raises:
            NVMLError: GPU_IS_LOST.
        """
        while self._hangs(function) and not self._released.wait(POLL_S):
            pass
        if any(lost.is_now(self._now()) for lost in self.faults.lost):
            raise pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)

    def add(self, fault: Fault) -> None:
        """Let something more go wrong."""
        self.faults = self.faults.plus(fault)

    def mend(self) -> None:
        """End all that goes wrong now, and all that was to come."""
        self.faults = self.faults.ended(self._now())

    def release(self) -> None:
        """End every hang of this GPU, those to come included."""
        self._released.set()

    def _hangs(self, function: str) -> bool:
        return any(hang.holds(function, self._now()) for hang in self.faults.hangs)


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
    compute_instance_id: int
    compute_slices: int
    profile: MigProfile
    drive: Drive
    gauges: Gauges


@dataclass(frozen=True, slots=True, eq=False)
class MockGpu:
    """One GPU of the mock machine.

    `instances` are in the order of their GPU instance ids; where there are any, their drives are its drive.
    """

    index: int
    minor: int
    uuid: str
    pci_bus: int
    profile: Profile
    drive: Drive
    gauges: Gauges
    instances: tuple[MockInstance, ...]
    gate: Gate

    @property
    def is_divided(self) -> bool:
        """Whether MIG is on."""
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
    return MockGpu(
        index=identity[1],
        minor=gpu.minor,
        uuid=f"GPU-{_uuid(*identity)}",
        pci_bus=bus,
        profile=gpu.profile,
        drive=drive,
        gauges=gpu_gauges(gpu, drive),
        instances=_build_instances(gpu, drives, identity),
        gate=Gate(gpu.faults, now),
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
                    compute_instance_id=ci,
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
