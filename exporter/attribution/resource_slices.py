"""ResourceSlices: which GPU or MIG device a name in a DRA claim means."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from exporter.attribution.claims import DRA_DRIVER, DraDevice, DraDevices
from exporter.kube import Key, OwnNode, Resource


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
        group="resource.k8s.io",
        versions=("v1", "v1beta2", "v1beta1"),
        plural="resourceslices",
        select=lambda server: f"spec.nodeName={node.find(server)},spec.driver={DRA_DRIVER}",
        is_metadata_enough=False,
        parse=_parse,
    )


def devices_of(slices: Slices) -> DraDevices:
    """Return the devices by pool and name, of each pool's newest generation."""
    newest: dict[str, int] = {}
    for part in slices.values():
        newest[part.pool] = max(part.generation, newest.get(part.pool, part.generation))
    return {
        (part.pool, name): device
        for part in slices.values()
        if part.generation == newest[part.pool]
        for name, device in part.devices
    }


def _parse(entry: Any) -> DeviceSlice:
    spec = entry["spec"]
    devices = ((str(device["name"]), _parse_device(device)) for device in spec.get("devices") or ())
    known = tuple((name, device) for name, device in devices if device is not None)
    return DeviceSlice(str(spec["pool"]["name"]), int(spec["pool"]["generation"]), known)


def _parse_device(device: Any) -> DraDevice | None:
    """Return what a device is; None for what is neither a GPU nor a MIG device, or has no UUID yet."""
    attributes = (device.get("basic") or device).get("attributes") or {}  # v1beta1 wraps them
    kind, uuid, profile = (_text(attributes, name) for name in ("type", "uuid", "profile"))
    if uuid is None or kind not in {"gpu", "mig"}:
        return None
    return DraDevice(uuid, (profile or "") if kind == "mig" else None)


def _text(attributes: Any, name: str) -> str | None:
    value = (attributes.get(name) or {}).get("string")
    return None if value is None else str(value)
