"""NVML's events: one event set per GPU, polled without waiting, so that no GPU waits for another."""

from collections.abc import Collection, Iterator, Mapping
from functools import reduce
from operator import or_
from typing import Any, NamedTuple

from exporter.catalogue.driver_events import XID
from exporter.catalogue.units import count_of
from exporter.model import Reason
from exporter.nvml.calls import Calls

_NO_INSTANCE = 0xFFFFFFFF
_AT_MOST = 10_000
"""How many events are taken at once; each is a call of some microseconds. The others wait in the driver."""

_MOST = (1 << 16) - 1
"""No Xid is greater; those that are known end below 200, and 999 is NVML's for one that it does not know."""


class HeardEvent(NamedTuple):
    """What the driver reported: an nvmlEventType and its data; of a MIG instance where it says so."""

    type: int
    data: int
    gpu_instance_id: int | None


class DriverEvents:
    """The events of some types of one GPU, from the moment on at which `listen` succeeds.

    Attributes:
        refused: The types that are not listened to, and why.
    """

    def __init__(self, calls: Calls, handle: Any, types: Collection[int]) -> None:
        self._calls = calls
        self._handle = handle
        self._types = types
        self._set: Any = None
        self.refused: Mapping[int, Reason] = dict.fromkeys(types, Reason.NO_SAMPLE_YET)

    @property
    def hears_any(self) -> bool:
        """Whether some type is listened to."""
        return self._set is not None

    def listen(self) -> None:
        """Ask the driver for the GPU's events. A type that it refuses costs that type alone.

        Source: nvmlDeviceGetSupportedEventTypes, nvmlEventSetCreate, nvmlDeviceRegisterEvents.
        """
        self.close()
        supported = self._calls("nvmlDeviceGetSupportedEventTypes", self._handle)
        if isinstance(supported, Reason):
            self.refused = dict.fromkeys(self._types, supported)
            return
        self.refused = {one: Reason.NOT_SUPPORTED for one in self._types if not one & supported}
        wanted = frozenset(self._types) - self.refused.keys()
        if self._register(wanted) is None:
            return
        alone = {one: self._register({one}) for one in wanted}
        self.refused |= {one: reason for one, reason in alone.items() if reason}
        left = wanted - self.refused.keys()
        reason = self._register(left)
        if reason:  # together, though none alone: Xids are what matters most
            heard = left & {XID} if self._register(left & {XID}) is None else frozenset()
            self.refused |= dict.fromkeys(left - heard, reason)

    def _register(self, types: Collection[int]) -> Reason | None:
        """Listen to these types in a new event set, in the place of the one before; return the reason if not."""
        self.close()
        if not types:
            return None
        event_set = self._calls("nvmlEventSetCreate")
        if isinstance(event_set, Reason):
            return event_set
        answer = self._calls("nvmlDeviceRegisterEvents", self._handle, reduce(or_, types), event_set)
        if isinstance(answer, Reason):
            self._calls("nvmlEventSetFree", event_set)
            return answer
        self._set = event_set
        return None

    def poll(self) -> Iterator[HeardEvent | Reason]:
        """Yield what has come since the last call, oldest first; a reason where polling failed.

        Source: nvmlEventSetWait_v2 with a timeout of 0.
        """
        for _ in range(_AT_MOST if self.hears_any else 0):
            event = self._calls("nvmlEventSetWait_v2", self._set, 0)
            if event is Reason.TIMEOUT:
                return
            if isinstance(event, Reason):
                yield event
                return
            is_xid = event.eventType == XID
            data = count_of(event.eventData, _MOST) if is_xid else event.eventData
            instance = None if event.gpuInstanceId == _NO_INSTANCE else event.gpuInstanceId
            yield data if isinstance(data, Reason) else HeardEvent(event.eventType, data, instance)

    def close(self) -> None:
        """Give the event set back to the driver."""
        if self.hears_any:
            self._calls("nvmlEventSetFree", self._set)
            self._set = None
