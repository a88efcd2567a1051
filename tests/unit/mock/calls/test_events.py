from typing import Any

import pynvml

from exporter.mock import MockNvml
from tests.unit.fake_clock import FakeClock
from tests.unit.mock.faulty_machine import Caller, machine
from tests.unit.mock_machines import refusal

LOST = pynvml.NVML_ERROR_GPU_IS_LOST
XID = pynvml.nvmlEventTypeXidCriticalError


def events_of(nvml: MockNvml, event_set: Any) -> list[int]:
    codes: list[int] = []
    while len(codes) < 100:
        try:
            codes.append(nvml.nvmlEventSetWait_v2(event_set, 0).eventData)
        except pynvml.NVMLError_Timeout:
            break
    return codes


def listen(nvml: MockNvml, *gpus: Any) -> Any:
    event_set = nvml.nvmlEventSetCreate()
    for gpu in gpus:
        assert nvml.nvmlDeviceGetSupportedEventTypes(gpu) & XID
        nvml.nvmlDeviceRegisterEvents(gpu, XID, event_set)
    return event_set


def test_an_xid_is_heard_once_by_every_set_that_registered_before(clock: FakeClock) -> None:
    nvml, gpu, sound = machine(clock, "[{kind: xid, at_s: 10, code: 79}, {kind: xid, at_s: 5, code: 31}]")
    early, both, other = listen(nvml, gpu), listen(nvml, sound, gpu), listen(nvml, sound)
    clock.advance(6)
    late = listen(nvml, gpu)
    assert events_of(nvml, early) == [31]
    clock.advance(6)
    assert [events_of(nvml, each) for each in (early, both, late, other)] == [[79], [31, 79], [79], []]
    assert [events_of(nvml, each) for each in (early, both, late, other)] == [[], [], [], []]


def test_an_event_names_its_gpu_its_kind_and_its_gpu_instance(clock: FakeClock) -> None:
    nvml, gpu, _ = machine(clock, "[{kind: xid, at_s: 1, code: 94, gpu_instance: 3}, {kind: xid, at_s: 2, code: 48}]")
    event_set = listen(nvml, gpu)
    clock.advance(2)
    first, second = (nvml.nvmlEventSetWait_v2(event_set, 0) for _ in range(2))
    assert nvml.nvmlDeviceGetUUID(first.device) == nvml.nvmlDeviceGetUUID(gpu)
    assert (first.eventType, first.eventData, first.gpuInstanceId) == (XID, 94, 3)
    assert (second.eventData, second.gpuInstanceId, second.computeInstanceId) == (48, 0xFFFFFFFF, 0xFFFFFFFF)


def test_waiting_for_an_event_ends_when_one_arrives_or_with_a_timeout(clock: FakeClock) -> None:
    nvml, gpu, _ = machine(clock, "[{kind: xid, at_s: 1, code: 13}]")
    event_set = listen(nvml, gpu)
    assert refusal(nvml.nvmlEventSetWait_v2, event_set, 12) == pynvml.NVML_ERROR_TIMEOUT
    caller = Caller(nvml.nvmlEventSetWait_v2, event_set, 10_000)
    assert caller.hangs()
    clock.advance(1)
    assert caller.answer().eventData == 13


def test_a_set_hears_what_came_before_its_gpu_was_lost_and_then_that_it_is_lost(clock: FakeClock) -> None:
    nvml, gpu, _ = machine(clock, "[{kind: xid, at_s: 1, code: 79}, {kind: lost, at_s: 1}]")
    event_set = listen(nvml, gpu)
    clock.advance(1)
    assert nvml.nvmlEventSetWait_v2(event_set, 0).eventData == 79
    assert refusal(nvml.nvmlEventSetWait_v2, event_set, 0) == LOST
    nvml.nvmlEventSetFree(event_set)
    assert refusal(nvml.nvmlEventSetWait_v2, event_set, 0) == pynvml.NVML_ERROR_INVALID_ARGUMENT


def test_only_known_kinds_of_events_can_be_registered(clock: FakeClock) -> None:
    nvml, gpu, _ = machine(clock, "[{kind: xid, at_s: 1, code: 79}]")
    event_set = nvml.nvmlEventSetCreate()
    assert refusal(nvml.nvmlDeviceRegisterEvents, gpu, 1 << 40, event_set) == pynvml.NVML_ERROR_NOT_SUPPORTED
    nvml.nvmlDeviceRegisterEvents(gpu, pynvml.nvmlEventTypeDoubleBitEccError, event_set)
    clock.advance(1)
    assert events_of(nvml, event_set) == []


def test_an_event_is_heard_once_though_its_fault_is_mended_and_two_alike_are_two(clock: FakeClock) -> None:
    ecc, xid = "{kind: ecc, at_s: 1, errors: uncorrected, per_s: 1}", "{kind: xid, at_s: 1, code: 31}"
    nvml, gpu, _ = machine(clock, f"[{ecc}, {xid}, {xid}]")
    event_set = nvml.nvmlEventSetCreate()
    nvml.nvmlDeviceRegisterEvents(gpu, XID | pynvml.nvmlEventTypeDoubleBitEccError, event_set)
    clock.advance(2)
    assert events_of(nvml, event_set) == [0, 31, 31]
    nvml.machine.gpus[0].gate.mend()
    assert events_of(nvml, event_set) == []
