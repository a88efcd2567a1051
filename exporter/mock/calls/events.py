"""NVML events, as the mock has them: Xid errors of the scenario, heard by the sets that registered before."""

# ruff: noqa: N802, N803, D102 - the methods have pynvml's names, and NVIDIA's documentation describes them

import threading
from dataclasses import dataclass, field
from typing import Any

import pynvml

from exporter.mock.calls.library import Library, MockDevice, Pointers, failure
from exporter.mock.machine.device import MockGpu
from exporter.mock.machine.faults import XidFault

NO_INSTANCE = 0xFFFFFFFF

_SUPPORTED = 65439  # recorded on an H100; assumed for the rest
_POLL_MS = 5


@dataclass(slots=True)
class _Registration:
    """A GPU whose Xids a set hears, and those that it has heard or that came before it registered."""

    gpu: MockGpu
    heard: set[XidFault] = field(default_factory=set)

    def new(self, t: float) -> list[XidFault]:
        return [xid for xid in self.gpu.gate.faults.xids if xid.at_s <= t and xid not in self.heard]


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
        if eventTypes & pynvml.nvmlEventTypeXidCriticalError:
            registration = _Registration(gpu)
            registration.heard.update(registration.new(self._library.now()))
            registrations.append(registration)

    def nvmlEventSetWait(self, eventSet: Any, timeoutms: int) -> Any:
        return self.nvmlEventSetWait_v2(eventSet, timeoutms)

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
            for xid in registration.new(now):
                registration.heard.add(xid)
                return self._event(registration.gpu, xid)
        if any(lost.is_now(now) for registration in registrations for lost in registration.gpu.gate.faults.lost):
            raise failure(pynvml.NVML_ERROR_GPU_IS_LOST)
        return None

    def _event(self, gpu: MockGpu, xid: XidFault) -> Any:
        data = pynvml.c_nvmlEventData_t()
        data.device = self._library.handles[MockDevice(gpu, None)]
        data.eventType = pynvml.nvmlEventTypeXidCriticalError
        data.eventData = xid.code
        data.gpuInstanceId = NO_INSTANCE if xid.gpu_instance_id is None else xid.gpu_instance_id
        data.computeInstanceId = NO_INSTANCE
        return data
