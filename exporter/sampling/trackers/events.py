"""The last Xid of a GPU and of each of its MIG instances, from the driver's events. A reading has no source."""

import logging
from collections import Counter
from collections.abc import Iterator
from typing import ClassVar, NamedTuple

from exporter.catalogue.reading import Tracked
from exporter.catalogue.xids import message
from exporter.model import Clock, Entity, Reason
from exporter.nvml.calls import Calls
from exporter.nvml.entities import Device
from exporter.nvml.events import XidEvent, XidEvents
from exporter.sampling.trackers.tracker import DeviceTracker, FieldValues, Observation

log = logging.getLogger(__name__)


class LastXid(NamedTuple):
    """The newest Xid of an entity, 0 for none, and since when one would have been heard, in seconds of the epoch."""

    code: int
    listening_since: float


class XidTracker(DeviceTracker):
    """Listens to one GPU. What was heard last says why a GPU is gone."""

    outlives_gpu: ClassVar[bool] = True

    def __init__(self, calls: Calls, device: Device, clock: Clock) -> None:
        self._gpu = device.gpu
        self._events = XidEvents(calls, device.handle)
        self._clock = clock
        self._since = 0.0
        self.last_xids: dict[Entity, int] = {target.entity: 0 for target in device.targets}

    def collect(self, readings: tuple[Tracked, ...], _values: FieldValues) -> Iterator[Observation]:
        """Answer each reading with a LastXid for each entity; an Xid of no instance counts for every one.

        An Xid that was heard stays true when nothing more can be heard, as after the one that took the GPU away.
        """
        failed = self._listen() or self._hear()
        for reading in readings:
            for entity, code in self.last_xids.items():
                yield Observation(reading, entity, LastXid(code, self._since) if code or not failed else failed)

    def last_words(self, readings: tuple[Tracked, ...]) -> Iterator[Observation]:
        """Answer with each entity's last Xid, where there is one."""
        for observation in self.collect(readings, {}):
            if isinstance(observation.answer, LastXid) and observation.answer.code:
                yield observation

    def _listen(self) -> Reason | None:
        """See to it that Xids are heard; where the driver refused, it is asked again each time."""
        if self._events.listening:
            return None
        failed = self._events.listen()
        self._since = self._clock.time()
        return failed

    def _hear(self) -> Reason | None:
        """Hear what has come; the log has a line for each code, as a program that fails on and on raises hundreds."""
        failed: Reason | None = None
        times: Counter[int] = Counter()
        for event in self._events.poll():
            if isinstance(event, Reason):
                failed = event
            else:
                times[event.code] += 1
                self._remember(event)
        for code, number in times.items():
            often = f", {number} times" if number > 1 else ""
            log.warning("GPU %d: Xid %d%s: %s", self._gpu.index, code, often, message(code))
        return failed

    def _remember(self, xid: XidEvent) -> None:
        for entity in self.last_xids:
            instance = entity.instance
            if xid.gpu_instance_id is None or instance is None or instance.gpu_instance_id == xid.gpu_instance_id:
                self.last_xids[entity] = xid.code

    def inherit(self, former: DeviceTracker) -> None:
        """Take over the last Xid of the GPU as a whole, and of each instance that has been left as it was."""
        if isinstance(former, XidTracker):
            heard = {entity.instance: code for entity, code in former.last_xids.items()}
            self.last_xids = {entity: heard.get(entity.instance, code) for entity, code in self.last_xids.items()}

    def interrupt(self) -> None:
        """Nothing is compared, and what was heard stays."""

    def close(self) -> None:
        """Free the event set."""
        self._events.close()
