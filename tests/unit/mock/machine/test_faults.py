from typing import Any

import pynvml

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
