import pynvml
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.mock import load_scenario
from exporter.mock.machine.loads import Load
from exporter.mock.machine.signals import Signal
from tests.unit.fake_clock import FakeClock
from tests.unit.mock.activities import activities, waits
from tests.unit.mock_machines import field, gpm, gpm_sample, one_gpu, scenario, started

ALL_LINKS = 0xFFFFFFFF
NOT_SUPPORTED = pynvml.NVML_ERROR_NOT_SUPPORTED


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


def test_a_32_bit_counter_begins_again_at_its_end(clock: FakeClock) -> None:
    nvml = started(load_scenario("h100-sxm"), clock)
    gpu = nvml.nvmlDeviceGetHandleByIndex(1)
    counter = pynvml.NVML_FI_DEV_PCIE_COUNT_TX_BYTES
    before = field(nvml, gpu, counter)[0]
    clock.advance(80)
    after = field(nvml, gpu, counter)[0]
    assert after < before
    assert (after - before) % 2**32 == pytest.approx(80 * 7.7079 * (1 << 20), rel=1e-4)


MIB = 1 << 20


@settings(deadline=None)
@given(activities, waits, st.floats(0.08, 60))
def test_link_counters_grow_by_the_integral_of_their_rates(activity: Signal, wait: float, apart: float) -> None:
    clock = FakeClock()
    nvml, gpu = one_gpu("h100-sxm", Load(activity), clock)
    counters = (
        (pynvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX, ALL_LINKS),
        (pynvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX, ALL_LINKS),
        (pynvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX, 17),
        (pynvml.NVML_FI_DEV_PCIE_COUNT_TX_BYTES, 0),
        (pynvml.NVML_FI_DEV_PCIE_COUNT_RX_BYTES, 0),
    )
    clock.advance(wait)
    before, older = field(nvml, gpu, *counters), gpm_sample(nvml, gpu)
    clock.advance(apart)
    after, newer = field(nvml, gpu, *counters), gpm_sample(nvml, gpu)
    rates = gpm(
        nvml,
        older,
        newer,
        pynvml.NVML_GPM_METRIC_NVLINK_TOTAL_TX_PER_SEC,
        pynvml.NVML_GPM_METRIC_NVLINK_TOTAL_RX_PER_SEC,
        pynvml.NVML_GPM_METRIC_NVLINK_L17_TX_PER_SEC,
        pynvml.NVML_GPM_METRIC_PCIE_TX_PER_SEC,
        pynvml.NVML_GPM_METRIC_PCIE_RX_PER_SEC,
    )
    grown = [
        (new - old) % 2**32 if number >= 3 else new - old
        for number, (old, new) in enumerate(zip(before, after, strict=True))
    ]
    units = (1000, 1000, 1000, MIB, MIB)
    expected = [rate * unit * apart for rate, unit in zip(rates, units, strict=True)]
    assert grown == [pytest.approx(growth, rel=1e-6, abs=20) for growth in expected]
