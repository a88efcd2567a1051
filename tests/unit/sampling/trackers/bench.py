"""A bench for one tracker: a GPU of a mock machine, and the readings that are asked of it."""

from collections.abc import Callable, Iterator
from typing import Any

from exporter.catalogue.reading import Tracked, Tracker
from exporter.model import Clock, Entity, Reason
from exporter.nvml.calls import Calls, FieldAnswer
from exporter.nvml.entities import Device, Layout, find_layout, select
from exporter.sampling.trackers import TRACKERS
from exporter.sampling.trackers.tracker import DeviceTracker, Observation
from exporter.settings import parse_devices
from tests.unit.fake_clock import FakeClock
from tests.unit.faulty_nvml import FaultyNvml
from tests.unit.mock_machines import scenario, started


class Bench:
    """One GPU of a mock machine and the tracker that reads it."""

    def __init__(self, kind: Tracker, gpu: str, devices: str = "f") -> None:
        self.clock = FakeClock()
        self.nvml = FaultyNvml(started(scenario(f"gpus: [{gpu}]"), self.clock))
        self._calls = Calls(self.nvml)
        layout = find_layout(self._calls, 0)
        assert isinstance(layout, Layout)
        self.device = select({0: layout}, parse_devices(devices))[0]
        make: Callable[[Calls, Device, Clock], DeviceTracker] = TRACKERS[kind]
        self.tracker = make(self._calls, self.device, self.clock)

    def read(self, *readings: Tracked, after_s: float = 0.0) -> list[Any]:
        """Return the answers after some time."""
        self.clock.advance(after_s)
        return [answer.answer for answer in self._collect(readings)]

    def read_entities(self, *readings: Tracked, after_s: float = 0.0) -> dict[Entity, Any]:
        self.clock.advance(after_s)
        return {answer.entity: answer.answer for answer in self._collect(readings)}

    def _collect(self, readings: tuple[Tracked, ...]) -> Iterator[Observation]:
        self.tracker.begin_span(readings)
        ids = self.tracker.needs(readings)
        answers = self._calls.field_values(self.device.handle, ids) if ids else []
        found = [FieldAnswer(answers)] * len(ids) if isinstance(answers, Reason) else answers
        return self.tracker.collect(readings, dict(zip(ids, found, strict=True)))
