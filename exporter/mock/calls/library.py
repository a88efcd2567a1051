"""The state behind the mock's functions: started or not, and the handles it gave out.

No lock is held while a GPU is asked: one that hangs keeps the thread that called it and no other.
"""

import ctypes
import threading
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import pynvml

from exporter.mock.calls.tables import MEMBERS
from exporter.mock.machine.device import MockGpu, MockInstance
from exporter.mock.machine.gauges import Gauges
from exporter.mock.machine.machine import Machine

T = TypeVar("T")


def failure(code: int) -> Exception:
    """Return pynvml's own exception for an NVML return code."""
    error: Exception = pynvml.NVMLError(code)
    return error


class Pointers(Generic[T]):
    """Objects behind opaque pointers of pynvml's types, as a C library gives them out.

    Args:
        kind: The ctypes pointer type, such as pynvml.c_nvmlDevice_t.
    """

    def __init__(self, kind: Any) -> None:
        self._kind = kind
        self._held: dict[int, tuple[T, Any]] = {}

    def give(self, held: T) -> Any:
        """Return a new pointer that stands for an object."""
        memory = ctypes.create_string_buffer(1)
        self._held[ctypes.addressof(memory)] = (held, memory)
        return ctypes.cast(memory, self._kind)

    def find(self, pointer: Any) -> T:
        """Return the object that a pointer stands for.

        Raises:
            NVMLError: INVALID_ARGUMENT; it is no pointer, or not one of these, or was taken back.
        """
        found = self._held.get(_address(pointer))
        if found is None:
            raise failure(pynvml.NVML_ERROR_INVALID_ARGUMENT)
        return found[0]

    def point(self, pointer: Any, held: T) -> None:
        """Let a pointer stand for another object; as find for one that is not known."""
        self.find(pointer)
        self._held[_address(pointer)] = (held, self._held[_address(pointer)][1])

    def take_back(self, pointer: Any) -> None:
        """Forget a pointer; as find for one that is not known."""
        self.find(pointer)
        self._held.pop(_address(pointer), None)

    def clear(self) -> None:
        """Forget every pointer."""
        self._held.clear()


def _address(pointer: Any) -> int:
    try:
        return ctypes.cast(pointer, ctypes.c_void_p).value or 0
    except (ctypes.ArgumentError, TypeError):
        return 0


@dataclass(frozen=True, slots=True)
class MockDevice:
    """What a device handle stands for: a GPU, or a MIG device of it."""

    gpu: MockGpu
    instance: MockInstance | None

    @property
    def gauges(self) -> Gauges:
        """What the device answers."""
        return self.gpu.gauges if self.instance is None else self.instance.gauges


class Library:
    """A mock machine's NVML library.

    Attributes:
        profile: The first GPU's, for what there is once in a machine.
        gpus: The GPUs that it has found at its start.
        now: Returns the seconds since the scenario began.
        driver_us: Returns the driver's clock, microseconds since the epoch, at a time of the scenario.
        handles: Of all devices, while the library is started.
    """

    def __init__(self, machine: Machine) -> None:
        self.profile = machine.scenario.gpus[0].profile
        self.gpus = machine.gpus
        self._machine = machine
        self._started = 0.0
        self.now = machine.now
        self.driver_us = machine.driver_us
        self.handles: dict[MockDevice, Any] = {}
        self._tick = machine.tick
        self._gate = machine.gate
        self._users = 0
        self._starting = threading.Lock()
        self._pointers: list[Pointers[Any]] = []
        self._targets: Pointers[MockDevice] = self.pointers(pynvml.c_nvmlDevice_t)

    def pointers(self, kind: Any) -> Pointers[Any]:
        """Return a new set of pointers of a ctypes type, which lives until the library is restarted."""
        made: Pointers[Any] = Pointers(kind)
        self._pointers.append(made)
        return made

    def start(self) -> None:
        """Begin, or begin once more: each start needs its stop. Pointers of an earlier run are invalid.

        Raises:
            NVMLError: As the machine's faults have it.
        """
        self._gate.enter("nvmlInit")
        with self._starting:
            self._users += 1
            if self._users == 1:
                self._started, self.gpus = self.now(), self._machine.bound_gpus()
                for pointers in self._pointers:
                    pointers.clear()
                targets = [MockDevice(gpu, device) for gpu in self.gpus for device in (None, *gpu.instances)]
                self.handles = {target: self._targets.give(target) for target in targets}

    def redivide(self, gpu: MockGpu, instances: tuple[MockInstance, ...], *, reuses_handles: bool) -> None:
        """Give a GPU other MIG devices while the library is started.

        Args:
            gpu: The GPU; MIG is on from now on.
            instances: Its MIG devices from now on.
            reuses_handles: Whether the first handles are those of its earlier MIG devices, in their order. If not,
                all its earlier MIG devices' handles become invalid.
        """
        gpu.divided = instances
        self._put(gpu, instances, reuses_handles=reuses_handles)

    def _put(self, gpu: MockGpu, instances: tuple[MockInstance, ...], *, reuses_handles: bool) -> None:
        former = [MockDevice(gpu, instance) for instance in gpu.instances]
        targets = [MockDevice(gpu, instance) for instance in instances]
        handles = [self.handles[target] for target in former]
        kept = handles[: len(targets)] if reuses_handles else []
        for handle, target in zip(kept, targets, strict=False):
            self._targets.point(handle, target)
        given = [*kept, *(self._targets.give(target) for target in targets[len(kept) :])]
        self.handles |= dict(zip(targets, given, strict=True))
        gpu.instances, gpu.is_mig_on = instances, True
        for handle in handles[len(kept) :]:
            self._targets.take_back(handle)
        for target in set(former) - set(targets):
            del self.handles[target]

    @property
    def driver(self) -> str:
        """The driver's version."""
        return self._machine.driver

    def stop(self) -> None:
        """End what one start began; with the last one every handle becomes invalid."""
        with self._starting:
            if self._users == 0:
                raise failure(pynvml.NVML_ERROR_UNINITIALIZED)
            self._users -= 1

    def check(self) -> None:
        """Refuse a call before the start or after the end.

        Raises:
            NVMLError: UNINITIALIZED; DRIVER_NOT_LOADED while the driver that it was started with is gone.
        """
        if self._gate.is_absent():
            raise failure(pynvml.NVML_ERROR_DRIVER_NOT_LOADED)
        if self._users == 0 or self._gate.was_absent_since(self._started):
            raise failure(pynvml.NVML_ERROR_UNINITIALIZED)

    def check_bound(self, gpu: MockGpu) -> None:
        """Refuse a call on a GPU that the driver has let go of since the start, whether it is back or not.

        Raises:
            NVMLError: GPU_IS_LOST.
        """
        if gpu.gate.was_absent_since(self._started):
            raise failure(pynvml.NVML_ERROR_GPU_IS_LOST)

    def enter(self, handle: Any, function: str) -> MockDevice:
        """Return what a handle stands for, once the GPU's faults let the call through, under the loads of now.

        Raises:
            NVMLError: UNINITIALIZED, INVALID_ARGUMENT, GPU_IS_LOST.
        """
        self.check()
        self.check_bound(self._targets.find(handle).gpu)
        self._follow_mig(self._targets.find(handle).gpu)
        target = self._targets.find(handle)
        target.gpu.gate.enter(function)
        target.gpu.costs.pay(function)
        self._tick()
        return target

    def _follow_mig(self, gpu: MockGpu) -> None:
        """Let a GPU's MIG devices be those that its faults leave."""
        if gpu.instances == gpu.present():
            return
        with self._starting:
            if gpu.instances != gpu.present():
                self._put(gpu, gpu.present(), reuses_handles=False)

    def enter_gpu(self, handle: Any, function: str) -> MockGpu:
        """Like enter, for functions that NVML does not support on MIG devices.

        Raises:
            NVMLError: As enter, and NOT_SUPPORTED.
        """
        target = self.enter(handle, function)
        if target.instance is not None:
            raise failure(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return target.gpu

    def read(self, gpu: MockGpu, quantity: str, link: int | None = None) -> int:
        """Return a quantity of a GPU, or of one of its NVLinks, as the whole number that NVML would give.

        Raises:
            NVMLError: NOT_SUPPORTED.
        """
        found = gpu.value(quantity, self.now(), link)
        if found is None:
            raise failure(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return round(found)

    def fill(self, gpu: MockGpu, function: str, structure: Any) -> Any:
        """Fill those members of a structure that a function answers and that it has; returns it.

        Raises:
            NVMLError: NOT_SUPPORTED.
        """
        for member, quantity in MEMBERS[function].items():
            if hasattr(structure, member):
                value = self.read(gpu, quantity)
                is_byte = isinstance(getattr(structure, member), bytes)
                setattr(structure, member, bytes([value]) if is_byte else value)
        return structure
