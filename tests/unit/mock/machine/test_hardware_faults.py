from typing import Any

import pynvml
import pytest

from exporter.mock import MockNvml
from tests.unit.fake_clock import FakeClock
from tests.unit.mock.faulty_machine import machine
from tests.unit.mock_machines import field, refusal, scenario, started

HEAT = 0xFFFF & pynvml.nvmlClocksThrottleReasonSwThermalSlowdown


def of_links(fault: str, clock: FakeClock) -> tuple[MockNvml, Any]:
    nvml = started(scenario(f"gpus: [{{profile: h100-sxm, nvlink: true, faults: [{fault}]}}]"), clock)
    return nvml, nvml.nvmlDeviceGetHandleByIndex(0)


def test_errors_come_at_once_or_over_time_and_stay_counted(clock: FakeClock) -> None:
    nvml, gpu, sound = machine(
        clock, "[{kind: pcie-replays, at_s: 10, count: 5}, {kind: pcie-replays, at_s: 20, for_s: 10, per_s: 2}]"
    )
    before = nvml.nvmlDeviceGetPcieReplayCounter(gpu)
    grown = []
    for _ in range(5):
        grown.append(nvml.nvmlDeviceGetPcieReplayCounter(gpu) - before)
        assert field(nvml, gpu, pynvml.NVML_FI_DEV_PCIE_REPLAY_COUNTER) == [nvml.nvmlDeviceGetPcieReplayCounter(gpu)]
        clock.advance(10)
    assert grown == [0, 5, 5, 25, 25]
    assert nvml.nvmlDeviceGetPcieReplayCounter(sound) == before


@pytest.mark.parametrize(
    ("kind", "error", "event"),
    [
        ("corrected", pynvml.NVML_MEMORY_ERROR_TYPE_CORRECTED, pynvml.nvmlEventTypeSingleBitEccError),
        ("uncorrected", pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, pynvml.nvmlEventTypeDoubleBitEccError),
    ],
)
def test_ecc_errors_are_counted_in_all_and_where_they_were_and_reported(
    clock: FakeClock, kind: str, error: int, event: int
) -> None:
    nvml, gpu, _ = machine(clock, f"[{{kind: ecc, at_s: 1, errors: {kind}, count: 3}}]")
    events = nvml.nvmlEventSetCreate()
    nvml.nvmlDeviceRegisterEvents(gpu, event, events)
    clock.advance(1)
    totals = [f"NVML_FI_DEV_ECC_{kind}_{life}_TOTAL" for kind in ("SBE", "DBE") for life in ("VOL", "AGG")]
    counted = field(nvml, gpu, *(getattr(pynvml, name) for name in totals))
    assert counted == ([3, 3, 0, 0] if kind == "corrected" else [0, 0, 3, 3])
    asked = (error, pynvml.NVML_VOLATILE_ECC)
    assert nvml.nvmlDeviceGetMemoryErrorCounter(gpu, *asked, pynvml.NVML_MEMORY_LOCATION_DRAM) == 3
    assert nvml.nvmlDeviceGetMemoryErrorCounter(gpu, *asked, pynvml.NVML_MEMORY_LOCATION_SRAM) == 0
    assert nvml.nvmlEventSetWait_v2(events, 0).eventType == event


def test_errors_of_one_nvlink_are_that_links_and_the_gpus(clock: FakeClock) -> None:
    nvml, gpu = of_links("{kind: nvlink, at_s: 1, error: crc, link: 4, count: 7}", clock)
    clock.advance(1)
    crc = pynvml.NVML_NVLINK_ERROR_DL_CRC_FLIT
    assert [nvml.nvmlDeviceGetNvLinkErrorCounter(gpu, link, crc) for link in (3, 4)] == [0, 7]
    assert nvml.nvmlDeviceGetNvLinkErrorCounter(gpu, 4, pynvml.NVML_NVLINK_ERROR_DL_REPLAY) == 0
    assert field(nvml, gpu, (pynvml.NVML_FI_DEV_NVLINK_ERROR_DL_CRC, 0xFFFFFFFF)) == [7]


def test_a_link_that_is_down_is_up_again_afterwards(clock: FakeClock) -> None:
    nvml, gpu = of_links("{kind: nvlink, at_s: 1, for_s: 1, error: down, link: 0}", clock)
    states = []
    for _ in range(3):
        asked = [(pynvml.NVML_FI_DEV_NVLINK_GET_STATE, link) for link in (0, 1)]
        states.append((nvml.nvmlDeviceGetNvLinkState(gpu, 0), *field(nvml, gpu, *asked)))
        clock.advance(1)
    assert states == [(1, 1, 1), (0, 0, 1), (1, 1, 1)]


def test_errors_of_nvlink_5_are_counted_over_all_links(clock: FakeClock) -> None:
    nvml = started(
        scenario("gpus: [{profile: b200, faults: [{kind: nvlink, at_s: 1, error: symbol, per_s: 4}]}]"), clock
    )
    clock.advance(3)
    gpu = nvml.nvmlDeviceGetHandleByIndex(0)
    assert field(nvml, gpu, (pynvml.NVML_FI_DEV_NVLINK_COUNT_SYMBOL_ERRORS, 0xFFFFFFFF)) == [8]


def test_throttling_lowers_clocks_says_why_and_counts_the_time(clock: FakeClock) -> None:
    nvml, gpu, sound = machine(clock, "[{kind: throttle, at_s: 10, for_s: 20, by: heat, percent: 25}]")
    counters = (pynvml.NVML_FI_DEV_PERF_POLICY_THERMAL, pynvml.NVML_FI_DEV_CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN)
    clock_mhz = nvml.nvmlDeviceGetClockInfo(gpu, pynvml.NVML_CLOCK_SM)
    seen = []
    for _ in range(4):
        seen.append(
            (
                nvml.nvmlDeviceGetClockInfo(gpu, pynvml.NVML_CLOCK_SM) / clock_mhz,
                bool(nvml.nvmlDeviceGetCurrentClocksEventReasons(gpu) & HEAT),
                [ns / 1e9 for ns in field(nvml, gpu, *counters)],
            )
        )
        assert not nvml.nvmlDeviceGetCurrentClocksEventReasons(sound) & HEAT
        clock.advance(10)
    ratios, reasons, times = zip(*seen, strict=True)
    assert ratios == pytest.approx((1, 0.25, 0.25, 1), abs=0.001)
    assert reasons == (False, True, True, False)
    assert times == ([0, 0], [0, 0], [10, 10], [20, 20])


@pytest.mark.parametrize(
    ("fault", "number"),
    [
        ("{kind: row-remap, at_s: 1, for_s: 1, state: pending}", pynvml.NVML_FI_DEV_REMAPPED_PENDING),
        ("{kind: row-remap, at_s: 1, for_s: 1, state: failed}", pynvml.NVML_FI_DEV_REMAPPED_FAILURE),
    ],
)
def test_a_row_waits_to_be_remapped_or_could_not_be(clock: FakeClock, fault: str, number: int) -> None:
    nvml, gpu, _ = machine(clock, f"[{fault}]")
    states = []
    for _ in range(3):
        states += field(nvml, gpu, number)
        clock.advance(1)
    assert states == [0, 1, 0]


def test_an_inforom_that_is_corrupt_does_not_pass_its_validation(clock: FakeClock) -> None:
    nvml, gpu, _ = machine(clock, "[{kind: inforom, at_s: 1, for_s: 1}]")
    codes = []
    for _ in range(3):
        codes.append(refusal(nvml.nvmlDeviceValidateInforom, gpu))
        clock.advance(1)
    assert codes == [None, pynvml.NVML_ERROR_CORRUPTED_INFOROM, None]


def test_mig_devices_go_and_come_back_with_new_handles(clock: FakeClock) -> None:
    mig = "mig: [1g.10gb, 3g.40gb], faults: [{kind: mig, at_s: 1, for_s: 1, devices: [0]}]"
    nvml = started(scenario(f"gpus: [{{profile: a100-sxm, {mig}}}]"), clock)
    gpu = nvml.nvmlDeviceGetHandleByIndex(0)

    def devices() -> list[Any]:
        found = [nvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, index) for index in range(2) if has(index)]
        return [nvml.nvmlDeviceGetUUID(handle) for handle in found]

    def has(index: int) -> bool:
        return refusal(nvml.nvmlDeviceGetMigDeviceHandleByIndex, gpu, index) is None

    old, both = nvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, 1), devices()
    clock.advance(1)
    assert refusal(nvml.nvmlDeviceGetMemoryInfo, old) == pynvml.NVML_ERROR_INVALID_ARGUMENT
    assert devices() == both[:1]
    clock.advance(1)
    assert devices() == both
    assert refusal(nvml.nvmlDeviceGetMemoryInfo, old) == pynvml.NVML_ERROR_INVALID_ARGUMENT


def test_what_was_counted_and_reported_outlives_a_mending_and_what_was_to_come_does_not(clock: FakeClock) -> None:
    nvml, gpu, _ = machine(
        clock,
        "[{kind: pcie-replays, at_s: 0, per_s: 1}, {kind: ecc, at_s: 0, errors: corrected},"
        " {kind: throttle, at_s: 0, by: power}, {kind: nvlink, at_s: 0, error: replay},"
        " {kind: row-remap, at_s: 0, state: failed}, {kind: inforom, at_s: 0},"
        " {kind: pcie-replays, at_s: 30, count: 9}, {kind: denied, at_s: 0, functions: [nvmlDeviceGetName]}]",
    )
    clock.advance(10)
    nvml.machine.mend(nvml.machine.gpus[0])
    clock.advance(90)
    assert nvml.nvmlDeviceGetPcieReplayCounter(gpu) == 10
    single, failed, throttled = field(
        nvml,
        gpu,
        pynvml.NVML_FI_DEV_ECC_SBE_VOL_TOTAL,
        pynvml.NVML_FI_DEV_REMAPPED_FAILURE,
        pynvml.NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN,
    )
    assert (single, failed, throttled) == (1, 0, 0)
    assert refusal(nvml.nvmlDeviceValidateInforom, gpu) is None
    assert refusal(nvml.nvmlDeviceGetName, gpu) is None
