"""Which GPUs and MIG instances there are, and which of them are exported."""

import ctypes
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pynvml import NVML_DEVICE_MIG_ENABLE

from exporter.catalogue.convert import member
from exporter.catalogue.units import count_of
from exporter.model import Entity, Gpu, Instance, Reason
from exporter.nvml.calls import DEVICE_GONE, Calls
from exporter.settings import DeviceKind, DeviceSelection

UNKNOWN_MINOR = -1
"""The minor number of a GPU without /dev/nvidiaN, as in WSL."""

MOST_GPUS = 1 << 10
MOST_MIG_DEVICES = 1 << 6
MOST_MINORS = 1 << 20
"""What can be: a machine has 16 GPUs, a GPU 7 MIG devices, and Linux has 20 bits for a minor number."""

_ABSENT = frozenset({Reason.NOT_SUPPORTED, Reason.NO_SAMPLE_YET, Reason.NOT_PERMITTED})
"""Answers that mean that there is no MIG device, or none for this process; any other leaves it open."""


@dataclass(frozen=True, slots=True)
class Target:
    """One entity and the handle by which NVML answers for it.

    Two are equal if their handles point to the same place; pynvml's pointers themselves are never equal.
    """

    entity: Entity
    handle: Any = field(compare=False)
    _address: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_address", ctypes.cast(self.handle, ctypes.c_void_p).value)


@dataclass(frozen=True, slots=True)
class Layout:
    """One GPU as a whole, whether MIG is on, and the MIG instances that it is divided into, by their ids."""

    whole: Target
    is_mig_on: bool
    instances: tuple[Target, ...]


@dataclass(frozen=True, slots=True)
class Device:
    """One GPU as a whole, whether MIG is on, and what of it is exported: itself or MIG instances."""

    whole: Target
    is_mig_on: bool
    targets: tuple[Target, ...]

    @property
    def gpu(self) -> Gpu:
        """The GPU."""
        return self.whole.entity.gpu

    @property
    def handle(self) -> Any:
        """The GPU's handle."""
        return self.whole.handle


def count_gpus(calls: Calls) -> int | Reason:
    """Return how many GPUs there are, or why that can't be told.

    Source: nvmlDeviceGetCount.
    """
    return _count(calls("nvmlDeviceGetCount"), MOST_GPUS)


def find_layout(calls: Calls, index: int) -> Layout | Reason:
    """Look at one GPU.

    Returns:
        The GPU and its MIG instances, or the reason why one of them can't be told. A layout is never half of one.

    Source: nvmlDeviceGetHandleByIndex and the getters of identity and of MIG devices.
    """
    handle = calls("nvmlDeviceGetHandleByIndex", index)
    if isinstance(handle, Reason):
        return handle
    gpu = _identify(calls, index, handle)
    if isinstance(gpu, Reason):
        return gpu
    is_mig_on = _ask_mig_mode(calls, handle)
    if isinstance(is_mig_on, Reason):
        return is_mig_on
    migs = _find_mig_devices(calls, handle) if is_mig_on else []
    if isinstance(migs, Reason):
        return migs
    return Layout(Target(Entity(gpu), handle), is_mig_on, tuple(_grouped(gpu, migs)))


def is_mig_switched_off(calls: Calls, device: Device) -> bool:
    """Say whether MIG was on when a device was looked at, and is off now.

    Source: nvmlDeviceGetMigMode, which takes 140 us on an H100; it is not asked where MIG was off.
    """
    return device.is_mig_on and _ask_mig_mode(calls, device.handle) is False


def displaced_instances(calls: Calls, device: Device) -> frozenset[Entity]:
    """Return the instances whose handles are stale, because MIG has been repartitioned since.

    Source: nvmlDeviceGetUUID; 5 us on an H100.
    """
    return frozenset(target.entity for target in device.targets if _is_displaced(calls, target))


def _is_displaced(calls: Calls, target: Target) -> bool:
    instance = target.entity.instance
    if instance is None:
        return False
    uuid = calls("nvmlDeviceGetUUID", target.handle)
    return uuid in _ABSENT if isinstance(uuid, Reason) else uuid != instance.uuids[0]


def select(layouts: Mapping[int, Layout], selections: Sequence[DeviceSelection]) -> dict[int, Device]:
    """Choose what -d asks for; MIG instances are numbered over all GPUs.

    Args:
        layouts: Every GPU that is known, by its index. Instances behind one that is not known have no number.
        selections: What -d asks for.

    Returns:
        By index the GPUs of which something is exported.
    """
    devices: dict[int, Device] = {}
    first_number: float = 0
    for place, (index, layout) in enumerate(sorted(layouts.items())):
        if index != place:
            first_number = math.inf
        chosen = {target for selection in selections for target in _selected(layout, selection, first_number)}
        targets = tuple(target for target in (layout.whole, *layout.instances) if target in chosen)
        first_number += len(layout.instances)
        if targets:
            devices[index] = Device(layout.whole, layout.is_mig_on, targets)
    return devices


def unmatched_ids(layouts: Mapping[int, Layout], count: int, selections: Sequence[DeviceSelection]) -> frozenset[int]:
    """Return the indices that -d asks for and that nothing has.

    Args:
        layouts: The GPUs that are known, by index.
        count: How many GPUs there are. Instances can be told only once all are known.
        selections: What -d asks for.
    """
    instances = sum(len(layout.instances) for layout in layouts.values()) if len(layouts) == count else math.inf
    highest = {DeviceKind.GPUS: count, DeviceKind.INSTANCES: instances}
    return frozenset(number for s in selections for number in s.ids or () if number >= highest[s.kind])


def _selected(layout: Layout, selection: DeviceSelection, first_number: float) -> Iterator[Target]:
    ids = selection.ids
    match selection.kind:
        case DeviceKind.FLEX:
            yield from layout.instances or (layout.whole,)
        case DeviceKind.GPUS:
            if ids is None or layout.whole.entity.gpu.index in ids:
                yield layout.whole
        case DeviceKind.INSTANCES:
            for place, instance in enumerate(layout.instances):
                if ids is None or first_number + place in ids:
                    yield instance


def _identify(calls: Calls, index: int, handle: Any) -> Gpu | Reason:
    """Read who a GPU is. Only its UUID can't be done without; a loss of the GPU is one whenever it shows."""
    uuid = calls("nvmlDeviceGetUUID", handle)
    if isinstance(uuid, Reason):
        return uuid
    getters = ("nvmlDeviceGetPciInfo", "nvmlDeviceGetMinorNumber", "nvmlDeviceGetName")
    answers: list[Any] = [calls(getter, handle) for getter in getters]
    for answer in answers:
        if isinstance(answer, Reason) and answer in DEVICE_GONE:
            return answer
    pci, minor, model = answers
    number = _count(minor, MOST_MINORS - 1)
    return Gpu(
        index,
        uuid,
        pci_bus_id="" if isinstance(pci, Reason) else _pci_bus_id(pci),
        minor=UNKNOWN_MINOR if isinstance(number, Reason) else number,
        model="" if isinstance(model, Reason) else model,
    )


def _count(answer: Any | Reason, most: int) -> int | Reason:
    return answer if isinstance(answer, Reason) else count_of(answer, most)


def _pci_bus_id(info: Any) -> str:
    answer = member(info, "busId")
    text = answer.decode(errors="replace") if isinstance(answer, bytes) else answer
    return text.upper()


@dataclass(frozen=True, slots=True)
class _MigDevice:
    """A compute instance, which is what NVML calls a MIG device."""

    handle: Any
    uuid: str
    gpu_instance_id: int
    profile: str


def _ask_mig_mode(calls: Calls, handle: Any) -> bool | Reason:
    mode = calls("nvmlDeviceGetMigMode", handle)
    if isinstance(mode, Reason):
        return False if mode in _ABSENT else mode
    return bool(mode[0] == NVML_DEVICE_MIG_ENABLE)


def _find_mig_devices(calls: Calls, handle: Any) -> list[_MigDevice] | Reason:
    highest = _count(calls("nvmlDeviceGetMaxMigDeviceCount", handle), MOST_MIG_DEVICES)
    if isinstance(highest, Reason):
        return highest
    found: list[_MigDevice] = []
    for index in range(highest):
        device = _find_mig_device(calls, handle, index)
        if isinstance(device, _MigDevice):
            found.append(device)
        elif device not in _ABSENT:
            return device
    return found


def _find_mig_device(calls: Calls, handle: Any, index: int) -> _MigDevice | Reason:
    mig = calls("nvmlDeviceGetMigDeviceHandleByIndex", handle, index)
    if isinstance(mig, Reason):
        return mig
    instance_id = _count(calls("nvmlDeviceGetGpuInstanceId", mig), MOST_MIG_DEVICES)
    uuid, name = calls("nvmlDeviceGetUUID", mig), calls("nvmlDeviceGetName", mig)
    if isinstance(instance_id, Reason):
        return instance_id
    if isinstance(uuid, Reason):
        return uuid
    if isinstance(name, Reason):
        return name if name in DEVICE_GONE else _MigDevice(mig, uuid, instance_id, profile="")
    return _MigDevice(mig, uuid, instance_id, _profile(name))


def _profile(name: str) -> str:
    """Return the GPU instance's profile, such as 1g.10gb, from a name that ends in MIG 1g.10gb or MIG 1c.2g.10gb."""
    _, is_there, profile = name.rpartition(" MIG ")
    head, _, rest = profile.partition(".")
    if not is_there:
        return ""
    return rest if head.endswith("c") else profile


def _grouped(gpu: Gpu, migs: list[_MigDevice]) -> Iterator[Target]:
    """Yield the GPU instances; each answers through the first of its MIG devices."""
    for instance_id in sorted({mig.gpu_instance_id for mig in migs}):
        of_instance = [mig for mig in migs if mig.gpu_instance_id == instance_id]
        instance = Instance(instance_id, of_instance[0].profile, tuple(mig.uuid for mig in of_instance))
        yield Target(Entity(gpu, instance), of_instance[0].handle)
