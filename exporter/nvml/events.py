"""Xid errors as NVML events: one event set a GPU, polled without waiting, so that no GPU waits for another."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from pynvml import nvmlEventTypeXidCriticalError

from exporter.catalogue.units import count_of
from exporter.model import Reason
from exporter.nvml.calls import Calls

_NO_INSTANCE = 0xFFFFFFFF
_AT_MOST = 1000
_MOST = (1 << 16) - 1
"""No Xid is greater; those that are known end below 200."""


class XidEvent(NamedTuple):
    """One Xid that the driver reported; of a MIG instance where it says so."""

    code: int
    gpu_instance_id: int | None


class XidEvents:
    """The Xids of one GPU, from the moment on at which `listen` succeeds."""

    def __init__(self, calls: Calls, handle: Any) -> None:
        self._calls = calls
        self._handle = handle
        self._set: Any = None

    @property
    def listening(self) -> bool:
        """Whether `listen` has succeeded."""
        return self._set is not None

    def listen(self) -> Reason | None:
        """Ask the driver for the GPU's Xids; return the reason why there are none, or None.

        Source: nvmlDeviceGetSupportedEventTypes, nvmlEventSetCreate, nvmlDeviceRegisterEvents.
        """
        supported = self._calls("nvmlDeviceGetSupportedEventTypes", self._handle)
        if isinstance(supported, Reason):
            return supported
        if not supported & nvmlEventTypeXidCriticalError:
            return Reason.NOT_SUPPORTED
        event_set = self._calls("nvmlEventSetCreate")
        if isinstance(event_set, Reason):
            return event_set
        answer = self._calls("nvmlDeviceRegisterEvents", self._handle, nvmlEventTypeXidCriticalError, event_set)
        if isinstance(answer, Reason):
            self._calls("nvmlEventSetFree", event_set)
            return answer
        self._set = event_set
        return None

    def poll(self) -> Iterator[XidEvent | Reason]:
        """Yield the Xids that have arrived since the last call, oldest first; a reason where polling failed.

        Only after `listen` has succeeded.

        Source: nvmlEventSetWait_v2 with a timeout of 0; nvmlEventTypeXidCriticalError.
        """
        for _ in range(_AT_MOST):
            event = self._calls("nvmlEventSetWait_v2", self._set, 0)
            if event is Reason.TIMEOUT:
                return
            if isinstance(event, Reason):
                yield event
                return
            code = count_of(event.eventData, _MOST)
            instance = None if event.gpuInstanceId == _NO_INSTANCE else event.gpuInstanceId
            yield code if isinstance(code, Reason) else XidEvent(code, instance)

    def close(self) -> None:
        """Give the event set back to the driver."""
        if self._set is not None:
            self._calls("nvmlEventSetFree", self._set)
            self._set = None
