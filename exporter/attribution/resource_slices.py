"""ResourceSlices: which GPU or MIG device a name in a DRA claim means."""

import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from exporter.attribution.claims import DRA_DRIVER, DraDevice, DraDevices
from exporter.kube import NORMAL_PACE, ApiServer, Key, Pace, Resource, Watch
from exporter.model import Clock


class _Slice(NamedTuple):
    pool: str
    generation: int
    devices: tuple[tuple[str, DraDevice], ...]


class ResourceSlices:
    """The devices that NVIDIA's DRA driver publishes for a node, followed by a watch.

    OwnerSource: resource.k8s.io v1, v1beta2 and v1beta1.
    """

    def __init__(
        self, connect: Callable[[], ApiServer], node: str, clock: Clock = time, pace: Pace = NORMAL_PACE
    ) -> None:
        self._devices: DraDevices = MappingProxyType({})
        resource = Resource(
            called=f"ResourceSlices of node {node}",
            group="resource.k8s.io",
            versions=("v1", "v1beta2", "v1beta1"),
            plural="resourceslices",
            field_selector=f"spec.nodeName={node},spec.driver={DRA_DRIVER}",
            is_metadata_enough=False,
            parse=_parse,
        )
        self._watch = Watch(resource, connect, self._publish, clock, pace)

    def start(self) -> None:
        """Begin, without waiting for the API server."""
        self._watch.start()

    def stop(self) -> None:
        """End within a second."""
        self._watch.stop()

    def latest(self) -> DraDevices:
        """Return the devices by pool and name, as they were last known; none before the first answer."""
        return self._devices

    @property
    def failing_since(self) -> float | None:
        """Return since when nothing new comes in, in seconds since the epoch; None if all is well."""
        return self._watch.failing_since

    def _publish(self, slices: Mapping[Key, _Slice]) -> None:
        newest: dict[str, int] = {}
        for part in slices.values():
            newest[part.pool] = max(part.generation, newest.get(part.pool, part.generation))
        self._devices = MappingProxyType(
            {
                (part.pool, name): device
                for part in slices.values()
                if part.generation == newest[part.pool]
                for name, device in part.devices
            }
        )


def _parse(entry: Any) -> _Slice:
    spec = entry["spec"]
    devices = ((str(device["name"]), _parse_device(device)) for device in spec.get("devices") or ())
    known = tuple((name, device) for name, device in devices if device is not None)
    return _Slice(str(spec["pool"]["name"]), int(spec["pool"]["generation"]), known)


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
