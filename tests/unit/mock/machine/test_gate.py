from collections.abc import Iterator
from typing import Any

import pytest

from exporter.mock import MockNvml
from tests.unit.fake_clock import FakeClock
from tests.unit.mock.faulty_machine import Caller, machine


@pytest.fixture
def hanging(clock: FakeClock) -> Iterator[tuple[MockNvml, Any, Any]]:
    nvml, gpu, sound = machine(clock, "[{kind: hang, at_s: 10, for_s: 60}]")
    clock.advance(10)
    yield nvml, gpu, sound
    nvml.release_hangs()


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
