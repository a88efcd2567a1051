from typing import Any

import pynvml
import pytest

from exporter.mock import MockNvml
from tests.unit.fake_clock import FakeClock
from tests.unit.mock.faulty_machine import Caller, machine
from tests.unit.mock_machines import refusal, scenario, started

LOST = pynvml.NVML_ERROR_GPU_IS_LOST


def test_a_lost_gpu_answers_nothing_until_it_is_back_and_the_others_go_on(clock: FakeClock) -> None:
    nvml, gpu, sound = machine(clock, "[{kind: lost, at_s: 10, until_s: 20}]")
    asked: tuple[tuple[str, tuple[Any, ...]], ...] = (
        ("nvmlDeviceGetPowerUsage", (gpu,)),
        ("nvmlDeviceGetUUID", (gpu,)),
        ("nvmlDeviceGetFieldValues", (gpu, [82])),
        ("nvmlDeviceGetHandleByIndex", (0,)),
        ("nvmlGpmSampleGet", (gpu, nvml.nvmlGpmSampleAlloc())),
    )
    for wait, expected in ((9.9, None), (0.1, LOST), (9.9, LOST), (0.1, None)):
        clock.advance(wait)
        assert [refusal(getattr(nvml, name), *args) for name, args in asked] == [expected] * len(asked)
        assert nvml.nvmlDeviceGetPowerUsage(sound) > 0
        assert nvml.nvmlDeviceGetCount() == 2


def test_a_gpu_that_is_lost_without_an_end_stays_lost(clock: FakeClock) -> None:
    nvml, gpu, _ = machine(clock, "[{kind: lost, at_s: 1}]")
    clock.advance(1e9)
    assert refusal(nvml.nvmlDeviceGetPowerUsage, gpu) == LOST


def test_a_lost_gpu_takes_its_mig_devices_along(clock: FakeClock) -> None:
    nvml = started(scenario("gpus: [{profile: a100-sxm, mig: [1g.10gb], faults: [{kind: lost, at_s: 1}]}]"), clock)
    instance = nvml.nvmlDeviceGetMigDeviceHandleByIndex(nvml.nvmlDeviceGetHandleByIndex(0), 0)
    clock.advance(1)
    assert refusal(nvml.nvmlDeviceGetMemoryInfo, instance) == LOST


def test_a_hang_may_be_in_one_function_only(clock: FakeClock) -> None:
    nvml, gpu, _ = machine(clock, "[{kind: hang, at_s: 1, functions: [nvmlDeviceGetName]}]")
    clock.advance(1e6)
    assert nvml.nvmlDeviceGetPowerUsage(gpu) > 0
    caller = Caller(nvml.nvmlDeviceGetName, gpu)
    assert caller.hangs()
    nvml.release_hangs()
    assert caller.answer()


def test_a_slow_call_answers_as_ever_but_later_and_only_in_its_spell(clock: FakeClock) -> None:
    nvml, gpu, sound = machine(clock, "[{kind: slow, at_s: 1, for_s: 2, seconds: 60, functions: [nvmlDeviceGetName]}]")
    name = nvml.nvmlDeviceGetName(gpu)
    clock.advance(1)
    assert nvml.nvmlDeviceGetName(sound) == name
    assert nvml.nvmlDeviceGetPowerUsage(gpu) > 0
    caller = Caller(nvml.nvmlDeviceGetName, gpu)
    assert caller.hangs()
    nvml.release_hangs()
    assert caller.answer() == name
    clock.advance(2)
    assert nvml.nvmlDeviceGetName(gpu) == name


def test_what_may_not_be_asked_is_denied_and_all_else_goes_on(clock: FakeClock) -> None:
    nvml, gpu, sound = machine(clock, "[{kind: denied, at_s: 1, for_s: 2, functions: [nvmlDeviceGetName]}]")
    denied = pynvml.NVML_ERROR_NO_PERMISSION
    for wait, expected in ((0, None), (1, denied), (2, None)):
        clock.advance(wait)
        assert refusal(nvml.nvmlDeviceGetName, gpu) == expected
        assert refusal(nvml.nvmlDeviceGetName, sound) is None
        assert refusal(nvml.nvmlDeviceGetPowerUsage, gpu) is None


@pytest.mark.parametrize(
    ("kind", "code"),
    [("missing", pynvml.NVML_ERROR_LIBRARY_NOT_FOUND), ("denied", pynvml.NVML_ERROR_NO_PERMISSION)],
)
def test_an_nvml_that_is_not_there_does_not_start_and_what_has_started_goes_on(
    clock: FakeClock, kind: str, code: int
) -> None:
    nvml = MockNvml(scenario(f"gpus: [{{profile: t4}}]\nfaults: [{{kind: {kind}, at_s: 5, until_s: 9}}]"), clock)
    nvml.nvmlInit()
    gpu = nvml.nvmlDeviceGetHandleByIndex(0)
    for wait, expected in ((5, code), (3.9, code), (0.1, None)):
        clock.advance(wait)
        assert refusal(nvml.nvmlInit) == expected
        assert nvml.nvmlDeviceGetPowerUsage(gpu) > 0
