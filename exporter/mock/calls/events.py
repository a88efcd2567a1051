"""NVML events, as the mock has them: Xid errors of the scenario, heard by the sets that registered before."""

# ruff: noqa: N802, N803, D102 - the methods have pynvml's names, and NVIDIA's documentation describes them

import threading
from dataclasses import dataclass, field
from typing import Any

import pynvml

from exporter.mock.calls.library import Library, MockDevice, Pointers, failure
from exporter.mock.machine.device import MockGpu
from exporter.mock.machine.fault import DriverEvent

NO_INSTANCE = 0xFFFFFFFF

_SUPPORTED = 65439  # recorded on an H100; assumed for the rest
_POLL_MS = 5


@dataclass(slots=True)
class _Registration:
    """A GPU whose events of some types a set hears, and those that it has heard or that came before it."""

    gpu: MockGpu
    types: int
    heard: set[DriverEvent] = field(default_factory=set)

    def hear(self, t: float) -> DriverEvent | None:
        """Return the oldest event until a time that was not heard yet, once."""
        events = (fault.event() for fault in self.gpu.gate.faults)
        new = [one for one in events if one is not None and one not in self.heard and self._concerns(one, t)]
        if not new:
            return None
        event = min(new, key=lambda one: one.at_s)
        self.heard.add(event)
        return event

    def _concerns(self, event: DriverEvent, t: float) -> bool:
        return event.at_s <= t and bool(event.type & self.types)


class EventCalls:
    """Event sets and what they hear."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._sets: Pointers[list[_Registration]] = library.pointers(pynvml.c_nvmlEventSet_t)

    def nvmlEventSetCreate(self) -> Any:
        self._library.check()
        return self._sets.give([])

    def nvmlEventSetFree(self, eventSet: Any) -> None:
        self._library.check()
        self._sets.take_back(eventSet)

    def nvmlDeviceGetSupportedEventTypes(self, handle: Any) -> int:
        self._library.enter_gpu(handle, "nvmlDeviceGetSupportedEventTypes")
        return _SUPPORTED

    def nvmlDeviceRegisterEvents(self, handle: Any, eventTypes: int, eventSet: Any) -> None:
        gpu = self._library.enter_gpu(handle, "nvmlDeviceRegisterEvents")
        registrations = self._sets.find(eventSet)
        if eventTypes & ~_SUPPORTED:
            raise failure(pynvml.NVML_ERROR_NOT_SUPPORTED)
        registration = _Registration(gpu, eventTypes)
        while registration.hear(self._library.now()):
            pass  # what came before is not heard
        registrations.append(registration)

    def nvmlEventSetWait_v2(self, eventSet: Any, timeoutms: int) -> Any:
        self._library.check()
        registrations = self._sets.find(eventSet)
        pause = threading.Event()
        for waited_ms in range(0, timeoutms + _POLL_MS, _POLL_MS):
            event = self._next(registrations)
            if event is not None:
                return event
            if waited_ms < timeoutms:
                pause.wait(_POLL_MS / 1000)
        raise failure(pynvml.NVML_ERROR_TIMEOUT)

    def _next(self, registrations: list[_Registration]) -> Any | None:
        """Return the next event that a set has heard; None where there is none."""
        now = self._library.now()
        for registration in registrations:
            event = registration.hear(now)
            if event is not None:
                return self._data(registration.gpu, event)
        for registration in registrations:
            self._library.check_bound(registration.gpu)
            registration.gpu.gate.refuse("nvmlEventSetWait_v2")
        return None

    def _data(self, gpu: MockGpu, event: DriverEvent) -> Any:
        data = pynvml.c_nvmlEventData_t()
        data.device = self._library.handles[MockDevice(gpu, None)]
        data.eventType = event.type
        data.eventData = event.data
        data.gpuInstanceId = NO_INSTANCE if event.gpu_instance_id is None else event.gpu_instance_id
        data.computeInstanceId = NO_INSTANCE
        return data
