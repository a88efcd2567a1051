"""Counters of each NVLink's port registers. Source of a reading: (NVML_PRM_COUNTER_ID_*,)."""

from collections.abc import Iterator

from exporter.catalogue.reading import LINKS, Tracked
from exporter.model import Clock, Entity
from exporter.nvml.calls import Calls
from exporter.nvml.entities import Device
from exporter.nvml.links import read_registers
from exporter.sampling.trackers.tracker import DeviceTracker, FieldValues, Observation


class LinkRegisterTracker(DeviceTracker):
    """Reads all counters of a link at once; it remembers nothing."""

    def __init__(self, calls: Calls, device: Device, _clock: Clock) -> None:
        self._calls = calls
        self._device = device

    def collect(self, readings: tuple[Tracked, ...], _values: FieldValues) -> Iterator[Observation]:
        """Answer each reading with a number for each link."""
        ids = [reading.source[0] for reading in readings]
        for link in LINKS:
            values = read_registers(self._calls, self._device.handle, link, ids)
            for reading, value in zip(readings, values, strict=True):
                yield Observation(reading, Entity(self._device.gpu, link=link), value)
