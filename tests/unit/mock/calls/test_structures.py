from ctypes import byref

import pynvml

from tests.unit.fake_clock import FakeClock
from tests.unit.mock_machines import refusal, scenario, started

NOT_SUPPORTED = pynvml.NVML_ERROR_NOT_SUPPORTED
GPU = "gpus: [{profile: h100-sxm, values: {fabric_state: 3, fabric_health_summary: 1, confidential_computing: 1}}]"


def test_structures_are_filled_as_the_scenario_says(clock: FakeClock) -> None:
    nvml = started(scenario(GPU), clock)
    gpu = nvml.nvmlDeviceGetHandleByIndex(0)
    fabric = pynvml.c_nvmlGpuFabricInfo_v3_t()
    nvml.nvmlDeviceGetGpuFabricInfoV(gpu, byref(fabric))
    assert (fabric.state, fabric.healthSummary) == (3, 1)
    platform = pynvml.c_nvmlPlatformInfo_v2_t()
    nvml.nvmlDeviceGetPlatformInfo(gpu, byref(platform))
    assert (platform.hostId, platform.moduleId) == ("\x01", "\x07")
    ecc = pynvml.c_nvmlEccSramErrorStatus_v1_t()
    nvml.nvmlDeviceGetSramEccErrorStatus(gpu, byref(ecc))
    assert ecc.bThresholdExceeded == 0
    assert nvml.nvmlSystemGetConfComputeState().ccFeature == 1


def test_bar1_fills_as_memory_does(clock: FakeClock) -> None:
    nvml = started(scenario("gpus: [{profile: h100-sxm, load: 100}]"), clock)
    bar1 = nvml.nvmlDeviceGetBAR1MemoryInfo(nvml.nvmlDeviceGetHandleByIndex(0))
    assert (bar1.bar1Total, bar1.bar1Used) == (137438953472, 5490868224)
    assert bar1.bar1Free == bar1.bar1Total - bar1.bar1Used


def test_an_older_structure_is_filled_and_one_of_an_unknown_version_is_refused(clock: FakeClock) -> None:
    nvml = started(scenario(GPU), clock)
    gpu = nvml.nvmlDeviceGetHandleByIndex(0)
    fabric = pynvml.c_nvmlGpuFabricInfo_v2_t()
    nvml.nvmlDeviceGetGpuFabricInfoV(gpu, byref(fabric))
    assert fabric.state == 3
    fabric.version = 0x0900_0024
    code = refusal(nvml.nvmlDeviceGetGpuFabricInfoV, gpu, byref(fabric))
    assert code == pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH


def test_a_model_that_has_none_of_it_refuses(clock: FakeClock) -> None:
    nvml = started(scenario("gpus: [{profile: t4}]"), clock)
    gpu = nvml.nvmlDeviceGetHandleByIndex(0)
    assert refusal(nvml.nvmlDeviceGetRowRemapperHistogram, gpu) == NOT_SUPPORTED
    fabric = pynvml.c_nvmlGpuFabricInfo_v3_t()
    assert refusal(nvml.nvmlDeviceGetGpuFabricInfoV, gpu, byref(fabric)) == NOT_SUPPORTED
