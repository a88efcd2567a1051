"""Which other GPUs a GPU reaches directly, as a mask of indices. Source of a reading: (NVML_P2P_CAPS_INDEX_*,).

This asks about two GPUs at once, so one that hangs can keep the other's readings: nothing asks for it by default.
"""

from collections.abc import Iterator

from exporter.catalogue.reading import Tracked
from exporter.model import Clock
from exporter.nvml.calls import Calls
from exporter.nvml.entities import Device
from exporter.nvml.links import reached_gpus
from exporter.sampling.trackers.tracker import DeviceTracker, FieldValues, Observation


class PeerTracker(DeviceTracker):
    """Asks for one GPU about all the others; it remembers nothing."""

    def __init__(self, calls: Calls, device: Device, _clock: Clock) -> None:
        self._calls = calls
        self._device = device

    def collect(self, readings: tuple[Tracked, ...], _values: FieldValues) -> Iterator[Observation]:
        """Answer each reading with a mask."""
        device = self._device
        for reading in readings:
            mask = reached_gpus(self._calls, device.handle, device.gpu.index, reading.source[0])
            for target in device.targets:
                yield Observation(reading, target.entity, mask)
