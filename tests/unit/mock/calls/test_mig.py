import pynvml

from tests.unit.fake_clock import FakeClock
from tests.unit.mock_machines import DIVIDED, gpm_sample, refusal, scenario, started

ALL_LINKS = 0xFFFFFFFF
NOT_SUPPORTED = pynvml.NVML_ERROR_NOT_SUPPORTED


def test_a_divided_gpu_lists_its_mig_devices_in_the_order_of_gpu_instance_ids(clock: FakeClock) -> None:
    nvml = started(scenario(DIVIDED), clock)
    gpu = nvml.nvmlDeviceGetHandleByIndex(0)
    assert nvml.nvmlDeviceGetMigMode(gpu) == [1, 1]
    assert nvml.nvmlDeviceGetMaxMigDeviceCount(gpu) == 7
    devices = [nvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, index) for index in range(4)]
    assert refusal(nvml.nvmlDeviceGetMigDeviceHandleByIndex, gpu, 4) == pynvml.NVML_ERROR_NOT_FOUND
    prefix = "NVIDIA H100 80GB HBM3 MIG "
    seen = [
        (
            nvml.nvmlDeviceGetName(device).removeprefix(prefix),
            nvml.nvmlDeviceGetGpuInstanceId(device),
            nvml.nvmlDeviceGetMemoryInfo(device, pynvml.nvmlMemory_v2).total >> 20,
        )
        for device in devices
    ]
    assert seen == [
        ("4g.40gb", 1, 40448),
        ("1c.2g.20gb", 5, 20096),
        ("1c.2g.20gb", 5, 20096),
        ("1g.10gb", 13, 9984),
    ]
    uuids = {nvml.nvmlDeviceGetUUID(device) for device in devices}
    assert len(uuids) == 4
    assert all(uuid.startswith("MIG-") for uuid in uuids)


def test_mig_takes_utilization_away_from_the_gpu_and_gives_none_to_its_instances(clock: FakeClock) -> None:
    nvml = started(scenario(DIVIDED), clock)
    gpu = nvml.nvmlDeviceGetHandleByIndex(0)
    instance = nvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, 0)
    for device in (gpu, instance):
        for name in ("UtilizationRates", "EncoderUtilization", "DecoderUtilization"):
            assert refusal(getattr(nvml, f"nvmlDeviceGet{name}"), device) == NOT_SUPPORTED
        assert refusal(nvml.nvmlDeviceGetSamples, device, pynvml.NVML_GPU_UTILIZATION_SAMPLES, 0) == NOT_SUPPORTED
    assert refusal(nvml.nvmlDeviceGetPowerUsage, gpu) is None
    assert refusal(nvml.nvmlDeviceGetPowerUsage, instance) == NOT_SUPPORTED
    assert refusal(nvml.nvmlDeviceGetGpuInstanceId, gpu) == NOT_SUPPORTED
    energy = nvml.nvmlDeviceGetFieldValues(instance, [pynvml.NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION])
    assert energy[0].nvmlReturn == NOT_SUPPORTED


def test_mig_takes_nvlink_away_from_the_gpu_and_gives_none_to_its_instances(clock: FakeClock) -> None:
    transmitted = (pynvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX, ALL_LINKS)
    for profile in ("a100-sxm", "h100-sxm"):
        nvml = started(scenario(f"gpus: [{{profile: {profile}, load: 50, mig: [3g.40gb]}}]"), clock)
        gpu = nvml.nvmlDeviceGetHandleByIndex(0)
        for device in (gpu, nvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, 0)):
            assert nvml.nvmlDeviceGetFieldValues(device, [transmitted])[0].nvmlReturn == NOT_SUPPORTED
    of_whole = [gpm_sample(nvml, gpu)]
    of_instance = [nvml.nvmlGpmMigSampleGet(gpu, 1, nvml.nvmlGpmSampleAlloc())]
    clock.advance(1)
    of_whole.append(gpm_sample(nvml, gpu))
    of_instance.append(nvml.nvmlGpmMigSampleGet(gpu, 1, nvml.nvmlGpmSampleAlloc()))
    for older, newer in (of_whole, of_instance):
        request = pynvml.c_nvmlGpmMetricsGet_t()
        request.version, request.numMetrics = pynvml.NVML_GPM_METRICS_GET_VERSION, 1
        request.sample1, request.sample2 = older, newer
        request.metrics[0].metricId = pynvml.NVML_GPM_METRIC_NVLINK_TOTAL_RX_PER_SEC
        nvml.nvmlGpmMetricsGet(request)
        assert request.metrics[0].nvmlReturn == pynvml.NVML_ERROR_INVALID_ARGUMENT
