import math
from typing import Any

import pynvml
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.mock import load_scenario
from exporter.mock.machine.loads import Load
from exporter.mock.machine.signals import Signal
from tests.unit.fake_clock import FakeClock
from tests.unit.mock.activities import activities, waits
from tests.unit.mock_machines import DIVIDED, gpm, gpm_sample, one_gpu, refusal, scenario, started

NOT_SUPPORTED = pynvml.NVML_ERROR_NOT_SUPPORTED


@pytest.mark.parametrize("profile", ["t4", "a100-sxm"])
def test_gpm_is_for_hopper_and_newer(clock: FakeClock, profile: str) -> None:
    nvml = started(load_scenario(profile), clock)
    gpu = nvml.nvmlDeviceGetHandleByIndex(0)
    assert nvml.nvmlGpmQueryDeviceSupport(gpu).isSupportedDevice == 0
    assert refusal(nvml.nvmlGpmSampleGet, gpu, nvml.nvmlGpmSampleAlloc()) == NOT_SUPPORTED


def test_gpm_refuses_samples_that_are_no_pair_and_metrics_that_it_does_not_know(clock: FakeClock) -> None:
    nvml = started(load_scenario("h100-sxm"), clock)
    gpu, other = (nvml.nvmlDeviceGetHandleByIndex(index) for index in range(2))
    request = pynvml.c_nvmlGpmMetricsGet_t()
    assert refusal(nvml.nvmlGpmMetricsGet, request) == pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH
    request.version, request.numMetrics = pynvml.NVML_GPM_METRICS_GET_VERSION, 1
    assert refusal(nvml.nvmlGpmMetricsGet, request) == pynvml.NVML_ERROR_INVALID_ARGUMENT
    request.sample1, request.sample2 = gpm_sample(nvml, gpu), nvml.nvmlGpmSampleAlloc()
    assert refusal(nvml.nvmlGpmMetricsGet, request) == pynvml.NVML_ERROR_INVALID_ARGUMENT
    request.sample2 = gpm_sample(nvml, other)
    assert refusal(nvml.nvmlGpmMetricsGet, request) == pynvml.NVML_ERROR_INVALID_ARGUMENT
    clock.advance(1)
    request.sample2 = gpm_sample(nvml, gpu)
    request.metrics[0].metricId = 15
    nvml.nvmlGpmMetricsGet(request)
    assert request.metrics[0].nvmlReturn == pynvml.NVML_ERROR_INVALID_ARGUMENT
    nvml.nvmlGpmSampleFree(request.sample2)
    assert refusal(nvml.nvmlGpmSampleFree, request.sample2) == pynvml.NVML_ERROR_INVALID_ARGUMENT


def test_gpm_tells_the_instances_apart_and_the_gpu_is_their_weighted_sum(clock: FakeClock) -> None:
    nvml = started(scenario(DIVIDED), clock)
    gpu = nvml.nvmlDeviceGetHandleByIndex(0)

    def sample(instance: int | None) -> Any:
        buffer = nvml.nvmlGpmSampleAlloc()
        return (
            nvml.nvmlGpmSampleGet(gpu, buffer) if instance is None else nvml.nvmlGpmMigSampleGet(gpu, instance, buffer)
        )

    older = [sample(instance) for instance in (1, 5, 13, None)]
    clock.advance(1)
    newer = [sample(instance) for instance in (1, 5, 13, None)]
    metric, per_second = pynvml.NVML_GPM_METRIC_GRAPHICS_UTIL, pynvml.NVML_GPM_METRIC_PCIE_RX_PER_SEC
    received = [gpm(nvml, old, new, per_second)[0] for old, new in zip(older, newer, strict=True)]
    assert sum(received[:3]) == pytest.approx(received[3])
    busy = [gpm(nvml, old, new, metric)[0] for old, new in zip(older, newer, strict=True)]
    full = 99.01965
    assert busy == [pytest.approx(full * share, abs=1e-3) for share in (0.8, 0.5, 0.2, (4 * 0.8 + 2 * 0.5 + 0.2) / 7)]
    assert refusal(nvml.nvmlGpmMigSampleGet, gpu, 2, older[0]) == pynvml.NVML_ERROR_INVALID_ARGUMENT


@settings(deadline=None)
@given(activities, waits, st.floats(0.08, 30))
def test_gpm_gives_the_mean_between_its_samples(activity: Signal, wait: float, apart: float) -> None:
    clock = FakeClock()
    nvml, gpu = one_gpu("h100-sxm", Load(activity), clock)
    clock.advance(wait)
    older, from_s = gpm_sample(nvml, gpu), clock.monotonic() - 1000
    clock.advance(apart)
    newer, until_s = gpm_sample(nvml, gpu), clock.monotonic() - 1000
    busy = activity.integral(from_s, until_s) / (until_s - from_s)
    graphics, tensor, idle_unit = gpm(
        nvml,
        older,
        newer,
        pynvml.NVML_GPM_METRIC_GRAPHICS_UTIL,
        pynvml.NVML_GPM_METRIC_ANY_TENSOR_UTIL,
        pynvml.NVML_GPM_METRIC_FP64_UTIL,
    )
    assert graphics == pytest.approx(99.0197 * busy, abs=1e-3)
    assert tensor == pytest.approx(92.7739 * busy, abs=1e-3)
    assert idle_unit == 0


@settings(deadline=None)
@given(activities, st.floats(0, 0.049))
def test_gpm_samples_too_close_to_each_other_give_no_number(activity: Signal, apart: float) -> None:
    clock = FakeClock()
    nvml, gpu = one_gpu("h100-sxm", Load(activity), clock)
    older = gpm_sample(nvml, gpu)
    clock.advance(apart)
    assert math.isnan(gpm(nvml, older, gpm_sample(nvml, gpu), pynvml.NVML_GPM_METRIC_GRAPHICS_UTIL)[0])
