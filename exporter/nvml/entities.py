"""Which GPUs and MIG instances there are, and which of them are exported."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from exporter.catalogue.convert import member
from exporter.model import Entity, Gpu, Instance, Reason
from exporter.nvml.calls import DEVICE_GONE, Calls
from exporter.settings import DeviceKind, DeviceSelection

UNKNOWN_MINOR = -1
"""The minor number of a GPU without /dev/nvidiaN, as in WSL."""

_ABSENT = frozenset({Reason.NOT_SUPPORTED, Reason.NO_SAMPLE_YET, Reason.NOT_PERMITTED})
"""Answers that mean that there is no MIG device, or none for this process; any other leaves it open."""


@dataclass(frozen=True, slots=True)
class Target:
    """One entity and the handle by which NVML answers for it."""

    entity: Entity
    handle: Any = field(compare=False)


@dataclass(frozen=True, slots=True)
class Layout:
    """One GPU as a whole, and the MIG instances that it is divided into, by their ids."""

    whole: Target
    instances: tuple[Target, ...]


@dataclass(frozen=True, slots=True)
class Device:
    """One GPU, its handle, and what of it is exported: itself or MIG instances."""

    gpu: Gpu
    handle: Any = field(compare=False)
    targets: tuple[Target, ...]


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
    migs = _find_mig_devices(calls, handle)
    if isinstance(migs, Reason):
        return migs
    return Layout(Target(Entity(gpu), handle), tuple(_grouped(gpu, migs)))


def select(layouts: Mapping[int, Layout], selection: DeviceSelection) -> dict[int, Device]:
    """Choose what -d asks for; MIG instances are numbered over all GPUs.

    Args:
        layouts: Every GPU by its index.
        selection: What -d asks for.

    Returns:
        By index the GPUs of which something is exported.
    """
    devices: dict[int, Device] = {}
    first_number = 0
    for index, layout in sorted(layouts.items()):
        targets = tuple(_selected(layout, selection, first_number))
        first_number += len(layout.instances)
        if targets:
            devices[index] = Device(layout.whole.entity.gpu, layout.whole.handle, targets)
    return devices


def unmatched_ids(layouts: Mapping[int, Layout], count: int, selection: DeviceSelection) -> frozenset[int]:
    """Return the indices that -d asks for and that nothing has.

    Args:
        layouts: The GPUs that are known, by index.
        count: How many GPUs there are. Instances can be told only once all are known.
        selection: What -d asks for.
    """
    instances = sum(len(layout.instances) for layout in layouts.values()) if len(layouts) == count else math.inf
    highest = count if selection.kind is DeviceKind.GPUS else instances
    return frozenset(number for number in selection.ids or () if number >= highest)


def _selected(layout: Layout, selection: DeviceSelection, first_number: int) -> Iterator[Target]:
    ids = selection.ids
    match selection.kind:
        case DeviceKind.FLEX:
            yield from layout.instances or (layout.whole,)
        case DeviceKind.GPUS:
            if ids is None or layout.whole.entity.gpu.index in ids:
                yield layout.whole
        case DeviceKind.INSTANCES:
            for number, instance in enumerate(layout.instances, start=first_number):
                if ids is None or number in ids:
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
    pci, minor, model = (None if isinstance(answer, Reason) else answer for answer in answers)
    return Gpu(index, uuid, _pci_bus_id(pci), UNKNOWN_MINOR if minor is None else minor, model or "")


def _pci_bus_id(info: Any) -> str:
    answer = member(info, "busId") if info else ""
    text = answer.decode(errors="replace") if isinstance(answer, bytes) else answer
    return text.upper()


@dataclass(frozen=True, slots=True)
class _MigDevice:
    """A compute instance, which is what NVML calls a MIG device."""

    handle: Any
    uuid: str
    gpu_instance_id: int
    profile: str


def _find_mig_devices(calls: Calls, handle: Any) -> list[_MigDevice] | Reason:
    mode = calls("nvmlDeviceGetMigMode", handle)
    if isinstance(mode, Reason):
        return [] if mode in _ABSENT else mode
    highest = calls("nvmlDeviceGetMaxMigDeviceCount", handle) if mode[0] == 1 else 0
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
    getters = ("nvmlDeviceGetGpuInstanceId", "nvmlDeviceGetUUID", "nvmlDeviceGetName")
    answers: list[Any] = [calls(getter, mig) for getter in getters]
    for answer in answers:
        if isinstance(answer, Reason):
            return answer
    instance_id, uuid, name = answers
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
