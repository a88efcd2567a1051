import inspect
from typing import Any

import pynvml
import pytest

from exporter.mock import MockNvml, load_scenario
from tests.unit.fake_clock import FakeClock
from tests.unit.mock_machines import functions, refusal, started


def test_nothing_works_before_the_start_or_after_the_end(clock: FakeClock) -> None:
    nvml = MockNvml(load_scenario("h100-sxm"), clock)
    asked: tuple[tuple[str, Any], ...] = (
        ("nvmlDeviceGetCount", ()),
        ("nvmlSystemGetDriverVersion", ()),
        ("nvmlDeviceGetHandleByIndex", (0,)),
        ("nvmlEventSetCreate", ()),
        ("nvmlGpmSampleAlloc", ()),
        ("nvmlShutdown", ()),
    )
    for name, args in asked:
        assert refusal(getattr(nvml, name), *args) == pynvml.NVML_ERROR_UNINITIALIZED
    nvml.nvmlInit()
    nvml.nvmlInit()
    gpu = nvml.nvmlDeviceGetHandleByIndex(0)
    nvml.nvmlShutdown()
    assert nvml.nvmlDeviceGetPowerUsage(gpu) > 0
    nvml.nvmlShutdown()
    for name in functions(nvml):
        args = tuple(gpu for _ in inspect.signature(getattr(nvml, name)).parameters)
        if name != "nvmlInit":
            assert refusal(getattr(nvml, name), *args) == pynvml.NVML_ERROR_UNINITIALIZED, name


def test_handles_events_and_samples_of_an_earlier_start_are_invalid(clock: FakeClock) -> None:
    nvml = started(load_scenario("h100-sxm"), clock)
    gpu, events, sample = nvml.nvmlDeviceGetHandleByIndex(0), nvml.nvmlEventSetCreate(), nvml.nvmlGpmSampleAlloc()
    nvml.nvmlShutdown()
    nvml.nvmlInit()
    fresh = nvml.nvmlDeviceGetHandleByIndex(0)
    assert refusal(nvml.nvmlDeviceGetPowerUsage, gpu) == pynvml.NVML_ERROR_INVALID_ARGUMENT
    assert refusal(nvml.nvmlEventSetWait_v2, events, 0) == pynvml.NVML_ERROR_INVALID_ARGUMENT
    assert refusal(nvml.nvmlGpmSampleGet, fresh, sample) == pynvml.NVML_ERROR_INVALID_ARGUMENT


@pytest.mark.parametrize("handle", [None, 7, "GPU-1", pynvml.c_nvmlDevice_t()])
def test_what_is_no_handle_is_an_invalid_argument(clock: FakeClock, handle: Any) -> None:
    nvml = started(load_scenario("t4"), clock)
    assert refusal(nvml.nvmlDeviceGetName, handle) == pynvml.NVML_ERROR_INVALID_ARGUMENT
