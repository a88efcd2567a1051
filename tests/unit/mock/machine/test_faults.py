import threading
from collections.abc import Iterator
from typing import Any

import pynvml
import pytest

from exporter.mock import MockNvml
from tests.unit.fake_clock import FakeClock
from tests.unit.mock_machines import scenario, started

LOST = pynvml.NVML_ERROR_GPU_IS_LOST
XID = pynvml.nvmlEventTypeXidCriticalError
PATIENCE_S = 10


class Caller:
    """A call in a thread of its own."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.answers: list[Any] = []
        self._thread = threading.Thread(target=lambda: self.answers.append(function(*args)), daemon=True)
        self._thread.start()

    def answer(self) -> Any:
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()
        return self.answers[0]

    def hangs(self) -> bool:
        self._thread.join(0.03)
        return self._thread.is_alive()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def machine(clock: FakeClock, faults: str) -> tuple[MockNvml, Any, Any]:
    """Return a machine, its faulty GPU and a sound one."""
    nvml = started(scenario(f"gpus: [{{profile: h100-sxm, load: 40, faults: {faults}}}, {{profile: h100-sxm}}]"), clock)
    return nvml, nvml.nvmlDeviceGetHandleByIndex(0), nvml.nvmlDeviceGetHandleByIndex(1)


@pytest.fixture
def hanging(clock: FakeClock) -> Iterator[tuple[MockNvml, Any, Any]]:
    nvml, gpu, sound = machine(clock, "[{kind: hang, at_s: 10, for_s: 60}]")
    clock.advance(10)
    yield nvml, gpu, sound
    nvml.release_hangs()


def code(nvml: MockNvml, function: str, *args: Any) -> int:
    try:
        getattr(nvml, function)(*args)
    except pynvml.NVMLError as error:
        found: int = error.value
        return found
    return 0


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


def test_a_lost_gpu_answers_nothing_until_it_is_back_and_the_others_go_on(clock: FakeClock) -> None:
    nvml, gpu, sound = machine(clock, "[{kind: lost, at_s: 10, until_s: 20}]")
    asked: tuple[tuple[str, tuple[Any, ...]], ...] = (
        ("nvmlDeviceGetPowerUsage", (gpu,)),
        ("nvmlDeviceGetUUID", (gpu,)),
        ("nvmlDeviceGetFieldValues", (gpu, [82])),
        ("nvmlDeviceGetHandleByIndex", (0,)),
        ("nvmlGpmSampleGet", (gpu, nvml.nvmlGpmSampleAlloc())),
    )
    for wait, expected in ((9.9, 0), (0.1, LOST), (9.9, LOST), (0.1, 0)):
        clock.advance(wait)
        assert [code(nvml, name, *args) for name, args in asked] == [expected] * len(asked)
        assert nvml.nvmlDeviceGetPowerUsage(sound) > 0
        assert nvml.nvmlDeviceGetCount() == 2


def test_a_gpu_that_is_lost_without_an_end_stays_lost(clock: FakeClock) -> None:
    nvml, gpu, _ = machine(clock, "[{kind: lost, at_s: 1}]")
    clock.advance(1e9)
    assert code(nvml, "nvmlDeviceGetPowerUsage", gpu) == LOST


def test_a_lost_gpu_takes_its_mig_devices_along(clock: FakeClock) -> None:
    nvml = started(scenario("gpus: [{profile: a100-sxm, mig: [1g.10gb], faults: [{kind: lost, at_s: 1}]}]"), clock)
    instance = nvml.nvmlDeviceGetMigDeviceHandleByIndex(nvml.nvmlDeviceGetHandleByIndex(0), 0)
    clock.advance(1)
    assert code(nvml, "nvmlDeviceGetMemoryInfo", instance) == LOST


def test_a_call_on_a_hanging_gpu_waits_until_the_fault_ends_by_the_clock(
    clock: FakeClock, hanging: tuple[MockNvml, Any, Any]
) -> None:
    nvml, gpu, sound = hanging
    caller = Caller(nvml.nvmlDeviceGetPowerUsage, gpu)
    assert caller.hangs()
    assert nvml.nvmlDeviceGetPowerUsage(sound) > 0
    clock.advance(59)
    assert caller.hangs()
    clock.advance(1)
    assert caller.answer() > 0
    assert nvml.nvmlDeviceGetPowerUsage(gpu) > 0


def test_a_test_can_release_the_calls_that_hang(hanging: tuple[MockNvml, Any, Any]) -> None:
    nvml, gpu, _ = hanging
    callers = [Caller(nvml.nvmlDeviceGetName, gpu), Caller(nvml.nvmlDeviceGetHandleByIndex, 0)]
    assert all(caller.hangs() for caller in callers)
    nvml.release_hangs()
    assert all(caller.answer() for caller in callers)
    assert nvml.nvmlDeviceGetPowerUsage(gpu) > 0


def test_a_hang_may_be_in_one_function_only(clock: FakeClock) -> None:
    nvml, gpu, _ = machine(clock, "[{kind: hang, at_s: 1, functions: [nvmlDeviceGetName]}]")
    clock.advance(1e6)
    assert nvml.nvmlDeviceGetPowerUsage(gpu) > 0
    caller = Caller(nvml.nvmlDeviceGetName, gpu)
    assert caller.hangs()
    nvml.release_hangs()
    assert caller.answer()


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
    assert code(nvml, "nvmlEventSetWait_v2", event_set, 12) == pynvml.NVML_ERROR_TIMEOUT
    caller = Caller(nvml.nvmlEventSetWait_v2, event_set, 1000 * PATIENCE_S)
    assert caller.hangs()
    clock.advance(1)
    assert caller.answer().eventData == 13


def test_a_set_hears_what_came_before_its_gpu_was_lost_and_then_that_it_is_lost(clock: FakeClock) -> None:
    nvml, gpu, _ = machine(clock, "[{kind: xid, at_s: 1, code: 79}, {kind: lost, at_s: 1}]")
    event_set = listen(nvml, gpu)
    clock.advance(1)
    assert nvml.nvmlEventSetWait_v2(event_set, 0).eventData == 79
    assert code(nvml, "nvmlEventSetWait_v2", event_set, 0) == LOST
    nvml.nvmlEventSetFree(event_set)
    assert code(nvml, "nvmlEventSetWait_v2", event_set, 0) == pynvml.NVML_ERROR_INVALID_ARGUMENT


def test_only_known_kinds_of_events_can_be_registered(clock: FakeClock) -> None:
    nvml, gpu, _ = machine(clock, "[{kind: xid, at_s: 1, code: 79}]")
    event_set = nvml.nvmlEventSetCreate()
    assert code(nvml, "nvmlDeviceRegisterEvents", gpu, 1 << 40, event_set) == pynvml.NVML_ERROR_NOT_SUPPORTED
    nvml.nvmlDeviceRegisterEvents(gpu, pynvml.nvmlEventTypeDoubleBitEccError, event_set)
    clock.advance(1)
    assert events_of(nvml, event_set) == []
