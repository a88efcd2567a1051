"""ResourceSlices: which GPU or MIG device a name in a DRA claim means."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple

from exporter.attribution.claims import DRA_DRIVER, DraDevice, DraDevices
from exporter.kube import Key, OwnNode, Resource

GROUP = "resource.k8s.io"
VERSIONS = ("v1", "v1beta2", "v1beta1")


class DeviceSlice(NamedTuple):
    """A part of a pool's devices; all parts of one generation make the pool."""

    pool: str
    generation: int
    devices: tuple[tuple[str, DraDevice], ...]


Slices = Mapping[Key, DeviceSlice]


def slices_of(node: OwnNode) -> Resource[DeviceSlice]:
    """Return what a watch follows: the slices that NVIDIA's DRA driver publishes for a node.

    Source: resource.k8s.io v1, v1beta2 and v1beta1.
    """
    return Resource(
        called=f"ResourceSlices of {node}",
        group=GROUP,
        versions=VERSIONS,
        plural="resourceslices",
        select=lambda server: f"spec.nodeName={node.find(server)},spec.driver={DRA_DRIVER}",
        is_metadata_enough=False,
        parse=_parse,
    )


def devices_of(slices: Slices) -> DraDevices:
    """Return the devices by pool and name, each as the pool's newest generation that has it says.

    A driver republishes a pool slice by slice, and a running pod keeps a device that is no longer
    offered, so that older generations count, too.
    """
    oldest_first = sorted(slices.values(), key=lambda part: part.generation)
    return {(part.pool, name): device for part in oldest_first for name, device in part.devices}


class DeviceMemory:
    """Remembers the devices that pods hold: kubelet removes the slices of a driver that is away for half a minute."""

    def __init__(self) -> None:
        self._devices: DraDevices = {}

    def devices(self, slices: Slices, held: AbstractSet[tuple[str, str]]) -> DraDevices:
        """Return the devices of slices, and those that are held, by pool and name, and were in former ones."""
        kept = {name: device for name, device in self._devices.items() if name in held}
        self._devices = {**kept, **devices_of(slices)}
        return self._devices


def _parse(entry: Any) -> DeviceSlice:
    spec = entry["spec"]
    devices = ((str(device["name"]), _parse_device(device)) for device in spec.get("devices") or ())
    known = tuple((name, device) for name, device in devices if device is not None)
    return DeviceSlice(str(spec["pool"]["name"]), int(spec["pool"]["generation"]), known)


def _parse_device(device: Any) -> DraDevice | None:
    """Return what a device is; None for what is neither a GPU nor a MIG device, or has no UUID at all yet."""
    attributes = (device.get("basic") or device).get("attributes") or {}  # v1beta1 wraps them
    kind, uuid, parent, profile = (_text(attributes, name) for name in ("type", "uuid", "parentUUID", "profile"))
    if kind == "gpu" and uuid is not None:
        return DraDevice(uuid)
    if kind == "mig" and (uuid or parent) is not None:
        return DraDevice(uuid, profile or "", parent)
    return None


def _text(attributes: Any, name: str) -> str | None:
    value = (attributes.get(name) or {}).get("string")
    return None if value is None else str(value)
