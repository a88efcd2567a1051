"""The mock's functions against pynvml's own, and what each model answers or refuses."""

import inspect
from collections.abc import Callable
from typing import Any

import pynvml
import pytest

from exporter.mock import MockNvml, load_scenario, profile_names
from tests.unit.fake_clock import FakeClock
from tests.unit.mock_machines import field, gpm, gpm_sample, scenario, started

ALL_LINKS = 0xFFFFFFFF
NOT_SUPPORTED = pynvml.NVML_ERROR_NOT_SUPPORTED

DIVIDED = """
gpus:
  - profile: h100-sxm
    mig:
      - {profile: 1g.10gb, load: 20}
      - {profile: 4g.40gb, load: 80}
      - {profile: 2g.20gb, compute: [1, 1], load: 50}
"""


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def refusal(call: Callable[..., Any], *args: Any) -> int | None:
    try:
        call(*args)
    except pynvml.NVMLError as error:
        code: int = error.value
        return code
    return None


def functions(nvml: MockNvml) -> list[str]:
    return [name for name in vars(nvml) if name.startswith("nvml")]


def test_every_function_has_pynvmls_name_and_parameters(clock: FakeClock) -> None:
    nvml = MockNvml(load_scenario("t4"), clock)
    assert len(functions(nvml)) > 30
    for name in functions(nvml):
        ours, theirs = (inspect.signature(getattr(owner, name)) for owner in (nvml, pynvml))
        assert [*ours.parameters] == [*theirs.parameters], name
        assert [p.default for p in ours.parameters.values()] == [p.default for p in theirs.parameters.values()], name


def test_pynvmls_constants_structures_and_errors_are_the_mocks_too(clock: FakeClock) -> None:
    nvml = MockNvml(load_scenario("t4"), clock)
    assert nvml.NVML_CLOCK_SM is pynvml.NVML_CLOCK_SM
    assert nvml.nvmlPciInfo_t is pynvml.nvmlPciInfo_t
    assert nvml.NVMLError_NotSupported is pynvml.NVMLError_NotSupported
    with pytest.raises(AttributeError):
        nvml.nvmlNoSuchThing  # noqa: B018


def test_a_function_that_the_mock_lacks_is_not_found_as_in_an_old_library(clock: FakeClock) -> None:
    nvml = started(load_scenario("t4"), clock)
    gpu = nvml.nvmlDeviceGetHandleByIndex(0)
    assert refusal(nvml.nvmlDeviceGetViolationStatus, gpu, 0) == pynvml.NVML_ERROR_FUNCTION_NOT_FOUND


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


@pytest.mark.parametrize("profile", profile_names())
def test_a_gpu_is_found_by_index_and_has_a_place_and_an_identity_of_its_own(clock: FakeClock, profile: str) -> None:
    nvml = started(load_scenario(profile), clock)
    places, minors, uuids = set(), set(), set()
    for index in range(nvml.nvmlDeviceGetCount()):
        gpu = nvml.nvmlDeviceGetHandleByIndex(index)
        pci = nvml.nvmlDeviceGetPciInfo(gpu)
        assert pci.busId == f"{pci.domain:08X}:{pci.bus:02X}:{pci.device:02X}.0"
        assert pci.busIdLegacy == pci.busId[4:]
        assert pci.pciDeviceId & 0xFFFF == 0x10DE
        places.add(pci.busId)
        minors.add(nvml.nvmlDeviceGetMinorNumber(gpu))
        uuids.add(nvml.nvmlDeviceGetUUID(gpu))
    assert len(places) == len(minors) == len(uuids) == nvml.nvmlDeviceGetCount()
    assert refusal(nvml.nvmlDeviceGetHandleByIndex, 64) == pynvml.NVML_ERROR_INVALID_ARGUMENT


def test_minor_numbers_differ_from_indices_on_the_a100_machine(clock: FakeClock) -> None:
    nvml = started(load_scenario("a100-sxm"), clock)
    minors = [nvml.nvmlDeviceGetMinorNumber(nvml.nvmlDeviceGetHandleByIndex(index)) for index in range(4)]
    assert minors == [1, 0, 3, 2]


def test_an_idle_and_a_busy_h100_answer_what_was_recorded(clock: FakeClock) -> None:
    nvml = started(load_scenario("h100-sxm"), clock)
    idle, busy = (nvml.nvmlDeviceGetHandleByIndex(index) for index in (0, 1))
    assert nvml.nvmlSystemGetDriverVersion() == "580.159.04"
    assert nvml.nvmlSystemGetNVMLVersion() == "13.580.159.04"
    assert nvml.nvmlDeviceGetName(idle) == "NVIDIA H100 80GB HBM3"
    clocks = (pynvml.NVML_CLOCK_GRAPHICS, pynvml.NVML_CLOCK_SM, pynvml.NVML_CLOCK_MEM, pynvml.NVML_CLOCK_VIDEO)
    assert [nvml.nvmlDeviceGetClockInfo(idle, clock_type) for clock_type in clocks] == [870, 870, 2619, 870]
    assert [nvml.nvmlDeviceGetClockInfo(busy, clock_type) for clock_type in clocks] == [1455, 1455, 2619, 1485]
    assert [nvml.nvmlDeviceGetTemperature(gpu, pynvml.NVML_TEMPERATURE_GPU) for gpu in (idle, busy)] == [44, 67]
    assert [field(nvml, gpu, pynvml.NVML_FI_DEV_MEMORY_TEMP) for gpu in (idle, busy)] == [[47], [58]]
    rates = [nvml.nvmlDeviceGetUtilizationRates(gpu) for gpu in (idle, busy)]
    assert [(rate.gpu, rate.memory) for rate in rates] == [(0, 0), (100, 33)]
    memory = nvml.nvmlDeviceGetMemoryInfo(busy, pynvml.nvmlMemory_v2)
    assert (memory.total, memory.reserved, memory.used) == (85520809984, 503316480, 5489098752)
    assert memory.total == memory.reserved + memory.used + memory.free
    older = nvml.nvmlDeviceGetMemoryInfo(busy)
    assert (older.total, older.free, older.used) == (85520809984, 79528394752, 5992415232)
    assert nvml.nvmlDeviceGetEncoderUtilization(busy) == nvml.nvmlDeviceGetDecoderUtilization(busy) == [0, 100000]
    assert nvml.nvmlDeviceGetGridLicensableFeatures(busy).isGridLicenseSupported == 0
    assert nvml.nvmlDeviceGetMigMode(busy) == [0, 0]
    assert refusal(nvml.nvmlDeviceGetFanSpeed, busy) == NOT_SUPPORTED


def test_field_values_take_ids_alone_or_with_a_scope_and_fail_one_by_one(clock: FakeClock) -> None:
    nvml = started(load_scenario("a100-sxm"), clock)
    gpu = nvml.nvmlDeviceGetHandleByIndex(0)
    clock.advance(10)
    transmitted = pynvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX
    wanted = [
        pynvml.NVML_FI_DEV_REMAPPED_COR,
        (transmitted, ALL_LINKS),
        (transmitted, 11),
        (transmitted, 12),
        pynvml.NVML_FI_DEV_POWER_AVERAGE,
        99999,
    ]
    answers = nvml.nvmlDeviceGetFieldValues(gpu, wanted)
    codes = [answer.nvmlReturn for answer in answers]
    assert codes == [0, 0, 0, pynvml.NVML_ERROR_INVALID_ARGUMENT, NOT_SUPPORTED, NOT_SUPPORTED]
    assert [answer.fieldId for answer in answers] == [142, 138, 138, 138, 185, 99999]
    assert [answer.scopeId for answer in answers][:4] == [0, ALL_LINKS, 11, 12]
    assert [answer.value.ullVal for answer in answers[:3]] == [2, 12 * 58982400, 58982400]
    assert answers[0].timestamp == 1_800_000_010_000_000
    assert {answer.valueType for answer in answers[:3]} == {pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG}


def test_an_h100_answers_for_nvlinks_only_where_the_scenario_says_so(clock: FakeClock) -> None:
    nvml = started(scenario("gpus: [{profile: h100-sxm}, {profile: h100-sxm, nvlink: true}]"), clock)
    plain, linked = (nvml.nvmlDeviceGetHandleByIndex(index) for index in range(2))
    received = (pynvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX, ALL_LINKS)
    assert nvml.nvmlDeviceGetFieldValues(plain, [received])[0].nvmlReturn == NOT_SUPPORTED
    assert field(nvml, linked, received) == [0]


def test_a_t4_has_neither_memory_temperature_nor_remapped_rows_nor_gpm_nor_mig(clock: FakeClock) -> None:
    nvml = started(load_scenario("t4"), clock)
    gpu = nvml.nvmlDeviceGetHandleByIndex(0)
    absent = [82, 138, 139, 142, 143, 144, 145, 185]
    assert [answer.nvmlReturn for answer in nvml.nvmlDeviceGetFieldValues(gpu, absent)] == [NOT_SUPPORTED] * 8
    assert refusal(nvml.nvmlDeviceGetMigMode, gpu) == NOT_SUPPORTED
    assert nvml.nvmlDeviceGetMaxMigDeviceCount(gpu) == 0
    assert nvml.nvmlDeviceGetEncoderUtilization(gpu)[0] > 0
    assert nvml.nvmlDeviceGetPcieReplayCounter(gpu) == 0


@pytest.mark.parametrize("profile", ["t4", "a100-sxm"])
def test_gpm_is_for_hopper_and_newer(clock: FakeClock, profile: str) -> None:
    nvml = started(load_scenario(profile), clock)
    gpu = nvml.nvmlDeviceGetHandleByIndex(0)
    assert nvml.nvmlGpmQueryDeviceSupport(gpu).isSupportedDevice == 0
    assert refusal(nvml.nvmlGpmSampleGet, gpu, nvml.nvmlGpmSampleAlloc()) == NOT_SUPPORTED


def test_a_ring_holds_71_samples_a_fifth_of_a_second_apart(clock: FakeClock) -> None:
    nvml = started(load_scenario("h100-sxm"), clock)
    gpu = nvml.nvmlDeviceGetHandleByIndex(1)
    clock.advance(20.1)
    value_type, samples = nvml.nvmlDeviceGetSamples(gpu, pynvml.NVML_GPU_UTILIZATION_SAMPLES, 0)
    assert value_type == pynvml.NVML_VALUE_TYPE_UNSIGNED_INT
    times = [sample.timeStamp for sample in samples]
    assert times == [1_800_000_006_000_000 + 200_000 * number for number in range(71)]
    _, newer = nvml.nvmlDeviceGetSamples(gpu, pynvml.NVML_MEMORY_UTILIZATION_SAMPLES, times[-3])
    assert [(sample.timeStamp, sample.sampleValue.uiVal) for sample in newer] == [(t, 33) for t in times[-2:]]
    ring = (gpu, pynvml.NVML_GPU_UTILIZATION_SAMPLES, times[-1])
    assert refusal(nvml.nvmlDeviceGetSamples, *ring) == pynvml.NVML_ERROR_NOT_FOUND


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


def test_a_32_bit_counter_begins_again_at_its_end(clock: FakeClock) -> None:
    nvml = started(load_scenario("h100-sxm"), clock)
    gpu = nvml.nvmlDeviceGetHandleByIndex(1)
    counter = pynvml.NVML_FI_DEV_PCIE_COUNT_TX_BYTES
    before = field(nvml, gpu, counter)[0]
    clock.advance(80)
    after = field(nvml, gpu, counter)[0]
    assert after < before
    assert (after - before) % 2**32 == pytest.approx(80 * 7.7079 * (1 << 20), rel=1e-4)


def test_a_scenarios_own_values_replace_the_profiles(clock: FakeClock) -> None:
    values = (
        "{pcie_replay_count: 7, fan_speed_percent: {idle: 30, busy: 80}, remapped_rows_pending: 1, "
        "power_average_mw: 5000, gpu_utilization_percent: 12, gpm.SM_OCCUPANCY: 3}"
    )
    nvml = started(scenario(f"gpus: [{{profile: h100-sxm, load: 50, values: {values}}}]"), clock)
    gpu = nvml.nvmlDeviceGetHandleByIndex(0)
    assert nvml.nvmlDeviceGetPcieReplayCounter(gpu) == 7
    assert nvml.nvmlDeviceGetFanSpeed(gpu) == 55
    assert nvml.nvmlDeviceGetPowerUsage(gpu) == 5000
    assert nvml.nvmlDeviceGetUtilizationRates(gpu).gpu == 12
    older = gpm_sample(nvml, gpu)
    clock.advance(1)
    assert gpm(nvml, older, gpm_sample(nvml, gpu), pynvml.NVML_GPM_METRIC_SM_OCCUPANCY) == [3]
    assert field(nvml, gpu, pynvml.NVML_FI_DEV_PCIE_REPLAY_COUNTER, pynvml.NVML_FI_DEV_REMAPPED_PENDING) == [7, 1]
