"""Which other GPUs a GPU reaches directly. Source of a reading: (NVML_P2P_CAPS_INDEX_*,).

The answer is the status with each other GPU, by its index; for Scope.PEER each has an answer of its own. This asks
about two GPUs at once, so one that hangs can keep the other's readings: nothing asks for it by default.
"""

from collections.abc import Iterator
from typing import NamedTuple

from exporter.catalogue.reading import Scope, Tracked
from exporter.model import Clock, Entity, Reason
from exporter.nvml.calls import Calls
from exporter.nvml.entities import Device
from exporter.nvml.links import peer_statuses
from exporter.sampling.trackers.tracker import DeviceTracker, FieldValues, Observation


class PeerStatus(NamedTuple):
    """Another GPU's index, and NVML's status of the way to it."""

    peer: int
    status: int


class PeerTracker(DeviceTracker):
    """Asks for one GPU about all the others; it remembers nothing."""

    def __init__(self, calls: Calls, device: Device, _clock: Clock) -> None:
        self._calls = calls
        self._device = device

    def collect(self, readings: tuple[Tracked, ...], _values: FieldValues) -> Iterator[Observation]:
        """Answer each reading with all peers, or with each one for the GPU as a whole, MIG or not."""
        device = self._device
        found: dict[int, dict[int, int] | Reason] = {}
        for reading in readings:
            capability = reading.source[0]
            if capability not in found:
                found[capability] = peer_statuses(self._calls, device.handle, device.gpu.index, capability)
            statuses = found[capability]
            if reading.scope is not Scope.PEER:
                for target in device.targets:
                    yield Observation(reading, target.entity, statuses)
            elif isinstance(statuses, Reason):
                yield Observation(reading, Entity(device.gpu), statuses)
            else:
                for pair in statuses.items():
                    yield Observation(reading, Entity(device.gpu), PeerStatus(*pair))
