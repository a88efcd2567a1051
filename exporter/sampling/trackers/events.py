"""What the driver reports of a GPU and of each of its MIG instances. A reading's source begins with an EventSource."""

import logging
from collections import Counter
from collections.abc import Iterator
from math import inf
from typing import Any, ClassVar, NamedTuple

from exporter.catalogue.driver_events import EVENT_NAMES, OF_LAYOUT, XID, EventSource
from exporter.catalogue.reading import Tracked
from exporter.catalogue.xids import message
from exporter.model import Clock, Reason
from exporter.nvml.calls import DEVICE_GONE, Calls
from exporter.nvml.entities import Device
from exporter.nvml.events import DriverEvents, HeardEvent
from exporter.sampling.trackers.event_history import EventHistory, Moment
from exporter.sampling.trackers.tracker import DeviceTracker, FieldValues, Observation

log = logging.getLogger(__name__)


class LastXid(NamedTuple):
    """The newest Xid of an entity, 0 for none, and since when one would have been heard, in seconds of the epoch."""

    code: int
    listening_since: float


class EventTracker(DeviceTracker):
    """Listens to one GPU. The Xid that was heard last says why a GPU is gone."""

    outlives_gpu: ClassVar[bool] = True

    def __init__(self, calls: Calls, device: Device, clock: Clock) -> None:
        self._gpu = device.gpu
        self._events = DriverEvents(calls, device.handle, EVENT_NAMES)
        self._clock = clock
        self._since = 0.0
        self._histories = {target.entity: EventHistory() for target in device.targets}
        self._found_change = False

    def collect(self, readings: tuple[Tracked, ...], _values: FieldValues) -> Iterator[Observation]:
        """Answer each reading for each entity; an event of no instance counts for every one.

        What was heard stays true when nothing more can be heard, as after the Xid that took the GPU away.
        """
        silent = self._listen_and_hear()
        for reading in readings:
            of_events = reading.source[0] == EventSource.EVENTS
            for entity, history in self._histories.items():
                answers = self._of_events(history) if of_events else self._of_xids(reading.source, history)
                if silent and not of_events and not _say_something(answers):
                    answers = [silent]
                for answer in answers:
                    yield Observation(reading, entity, answer)

    def last_words(self, readings: tuple[Tracked, ...]) -> Iterator[Observation]:
        """Answer with the Xids that were heard, where there are any."""
        self._listen_and_hear()
        for reading in readings:
            for entity, history in self._histories.items():
                if reading.source[0] != EventSource.EVENTS:
                    answers = self._of_xids(reading.source, history)
                    until = self._true_until(reading.source, history)
                    for answer in answers if _say_something(answers) else ():
                        yield Observation(reading, entity, answer, until)

    def keep_up(self) -> None:
        """Hear what has come: nobody knows how many events the driver keeps."""
        self._hear()

    def found_change(self) -> bool:
        """Say whether the driver has told, since this was asked last, that the GPU is not as it was."""
        found, self._found_change = self._found_change, False
        return found

    def _of_events(self, history: EventHistory) -> list[Any]:
        """Return how often each type has come, and why others are not heard; a lack that every fleet meets is none."""
        reasons = set(self._events.refused.values())
        if self._events.hears_any:
            reasons -= {Reason.NOT_SUPPORTED, *DEVICE_GONE}
        return [*history.events(), *reasons]

    def _of_xids(self, source: tuple[int, ...], history: EventHistory) -> list[Any]:
        match source:
            case EventSource.LAST_XID, reset_after_ms:
                return [LastXid(history.last_xid(self._clock.monotonic(), reset_after_ms), self._since)]
            case EventSource.XIDS_WITHIN, window_ms:
                return history.within(window_ms, self._clock.monotonic())
            case EventSource.XID_TIMES, *_:
                return history.times()
            case _:
                return history.totals()

    def _true_until(self, source: tuple[int, ...], history: EventHistory) -> float:
        """Return until when an answer stays true without a look at the clock, in monotonic seconds."""
        match source:
            case EventSource.LAST_XID, reset_after_ms:
                return history.resets_at(reset_after_ms)
            case EventSource.XIDS_WITHIN, window_ms:
                return history.window_lasts_until(window_ms)
            case _:
                return inf

    def _listen_and_hear(self) -> Reason | None:
        """See to it that events are heard, and hear what has come; return why no Xid can be heard, if so.

        Where the driver refused, it is asked again each time.
        """
        if self._events.refused.get(XID, Reason.NOT_SUPPORTED) is not Reason.NOT_SUPPORTED:
            self._events.listen()
            self._since = self._clock.time()
        return self._events.refused.get(XID) or self._hear()

    def _hear(self) -> Reason | None:
        """Hear what has come; the log has a line for each code, as a program that fails on and on raises hundreds."""
        failed: Reason | None = None
        now = Moment(self._clock.monotonic(), self._clock.time())
        xids: Counter[int] = Counter()
        for event in self._events.poll():
            if isinstance(event, Reason):
                failed = event
                continue
            self._remember(event, now)
            if event.type == XID:
                xids[event.data] += 1
        for code, number in xids.items():
            often = f", {number} times" if number > 1 else ""
            log.warning("GPU %d: Xid %d%s: %s", self._gpu.index, code, often, message(code))
        return failed

    def _remember(self, event: HeardEvent, now: Moment) -> None:
        self._found_change = self._found_change or event.type in OF_LAYOUT
        for entity, history in self._histories.items():
            instance = entity.instance
            if event.gpu_instance_id is None or instance is None or instance.gpu_instance_id == event.gpu_instance_id:
                history.hear(event, now)

    def inherit(self, former: DeviceTracker) -> None:
        """Take over the history of the GPU as a whole, and of each instance that has been left as it was."""
        if isinstance(former, EventTracker):
            heard = {entity.instance: history for entity, history in former._histories.items()}  # noqa: SLF001
            self._histories = {entity: heard.get(entity.instance, own) for entity, own in self._histories.items()}

    def interrupt(self) -> None:
        """Nothing is compared, and what was heard stays."""

    def close(self) -> None:
        """Free the event set."""
        self._events.close()


def _say_something(answers: list[Any]) -> bool:
    """Say whether answers are about some Xid: the code of a last one is not 0, and a tally is of one."""
    return any(answer[0] for answer in answers)
