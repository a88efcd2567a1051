"""Snapshots: what is in them, for how long it is true, and what is compared with what."""

from collections.abc import Mapping
from typing import Any

import pynvml
import pytest

from exporter.catalogue import CATALOGUE
from exporter.catalogue.busy_seconds import SERIES
from exporter.catalogue.convert import same
from exporter.catalogue.reading import Call, Field, Tracked
from exporter.model import Reason
from exporter.sampling.pace import life_s
from exporter.settings import BusySource
from tests.unit.faulty_nvml import failing
from tests.unit.sampling.bench import POWER, READINGS, TEMPERATURE, Bench

UNTIL_A_FABRIC_IS_JOINED = {"DCGM_FI_DEV_FABRIC_MANAGER_ERROR", "DCGM_FI_DEV_FABRIC_CLUSTER_UUID"}


def test_a_snapshot_says_when_it_was_taken_and_when_nothing_in_it_is_true_any_more() -> None:
    bench = Bench(READINGS, interval_s=2.0)
    snapshot = bench.sampler.collect()
    assert (snapshot.taken, snapshot.taken_at) == (bench.clock.now, bench.clock.wall)
    assert snapshot.expires == bench.clock.now + 6
    assert snapshot.gpu.uuid == bench.nvml.nvmlDeviceGetUUID(bench.nvml.nvmlDeviceGetHandleByIndex(0))
    assert snapshot.gone is None


def test_the_cost_of_a_collection_is_told_with_its_calls() -> None:
    bench = Bench(READINGS)
    first, second = bench.sampler.collect().cost, bench.sampler.collect().cost
    assert (first.nvml_calls, second.nvml_calls) == (3, 1)
    assert 0 < second.nvml_s < second.total_s


@pytest.mark.parametrize(("interval_s", "life"), [(0.1, 3), (1, 3), (30, 90)])
def test_a_sample_lives_for_three_periods_and_at_least_3_s(interval_s: float, life: float) -> None:
    bench = Bench(READINGS, interval_s=interval_s)
    expires = {sample.field: sample.expires - bench.clock.now for sample in bench.sampler.collect().samples}
    assert expires == {"FAST": life, "SLOW": 180, "ONCE": float("inf")}
    assert life_s(60) == 180


def slow(bench: Bench, *took_s: float) -> None:
    """Let the next temperatures take so long, and the later ones nothing."""
    real, remaining = bench.mock.nvmlDeviceGetTemperature, list(took_s)

    def answer(*args: Any) -> Any:
        bench.clock.advance(remaining.pop(0) if remaining else 0.0)
        return real(*args)

    bench.nvml.replaced[TEMPERATURE] = answer


def test_values_of_collections_that_always_take_long_are_shown_until_the_next_one_ends() -> None:
    bench = Bench(READINGS)
    slow(bench, *[4.0] * 6)
    for _ in range(3):
        bench.read()
    for _ in range(3):
        bench.clock.advance(1)
        snapshot = bench.sampler.collect()
        assert snapshot.taken == bench.clock.now
        assert snapshot.expires == bench.clock.now + 12
        assert min(sample.expires for sample in snapshot.samples) > bench.clock.now + 1 + 4


def test_one_call_that_hung_makes_no_later_value_live_longer() -> None:
    bench = Bench(READINGS)
    slow(bench, 0.0, 3600.0)
    bench.read()
    bench.read()
    bench.clock.advance(1)
    snapshot = bench.sampler.collect()
    assert snapshot.expires == bench.clock.now + 3
    assert {s.field: s.expires for s in snapshot.samples}["FAST"] == bench.clock.now + 3


def test_what_was_read_before_a_call_hung_is_not_shown_after_it() -> None:
    bench = Bench((Call(POWER, (Field("EARLY", same),)), READINGS[0]))
    slow(bench, 0.0, 30.0)
    bench.read()
    bench.clock.advance(1)
    expires = {sample.field: sample.expires for sample in bench.sampler.collect().samples}
    assert expires["EARLY"] < bench.clock.now


COMPARED = {"DCGM_FI_PROF_GR_ENGINE_UTIL_RATIO", "DCGM_FI_DEV_NVLINK_THROUGHPUT_TOTAL"}


def compared(values: Mapping[str, float | str]) -> set[str]:
    return COMPARED & values.keys()


@pytest.fixture
def comparing() -> Bench:
    """Return a sampler that has values which compare two readings."""
    catalogue = [reading for reading in CATALOGUE if isinstance(reading, Tracked) or TEMPERATURE in repr(reading)]
    bench = Bench(catalogue, "{profile: h100-sxm, nvlink: true, load: 40}")
    bench.read()
    assert compared(bench.read()) == COMPARED
    return bench


def test_nothing_is_compared_with_a_reading_from_before_the_gpu_was_lost(comparing: Bench) -> None:
    lost = failing(pynvml.NVML_ERROR_GPU_IS_LOST)
    comparing.nvml.replaced |= {TEMPERATURE: lost, "nvmlDeviceGetFieldValues": lost}
    comparing.clock.advance(1)
    assert comparing.sampler.collect().gone is Reason.GPU_LOST
    comparing.nvml.replaced.clear()
    assert compared(comparing.read()) == set()
    assert compared(comparing.read()) == COMPARED


def test_nothing_is_compared_over_a_pause_of_the_collections(comparing: Bench) -> None:
    comparing.clock.advance(30)
    assert compared(comparing.read()) == set()
    assert compared(comparing.read()) == COMPARED


def test_nothing_is_compared_over_a_suspension_in_which_the_monotonic_clock_stood(comparing: Bench) -> None:
    comparing.clock.wall += 3600
    assert compared(comparing.read()) == set()
    assert compared(comparing.read()) == COMPARED


def test_nothing_is_compared_over_a_call_that_hung(comparing: Bench) -> None:
    slow(comparing, 30.0)
    assert compared(comparing.read()) == set()
    assert compared(comparing.read()) == COMPARED


def test_a_first_pair_that_is_not_there_yet_is_missing_without_being_a_failure() -> None:
    bench = Bench(CATALOGUE)
    first = {missing.field: missing.reason for missing in bench.sampler.collect().missing}
    bench.clock.advance(0.15)
    second = {missing.field: missing.reason for missing in bench.sampler.collect().missing}
    waiting = {name for name, reason in first.items() if reason is Reason.NO_SAMPLE_YET}
    assert waiting >= {"DCGM_FI_PROF_GR_ENGINE_UTIL_RATIO", "DCGM_FI_PROF_PCIE_TX_BYTES", *UNTIL_A_FABRIC_IS_JOINED}
    assert {name for name, reason in second.items() if reason is Reason.NO_SAMPLE_YET} == UNTIL_A_FABRIC_IS_JOINED
    assert {missing.reason for missing in bench.told} == {Reason.NOT_SUPPORTED}


def test_busy_seconds_go_on_when_the_counters_file_is_read_again() -> None:
    names = {counter.field for source in BusySource for counter in SERIES[source]}
    bench = Bench([reading for reading in CATALOGUE if reading.fields[0].name in names])
    bench.read()
    before = [bench.read() for _ in range(10)][-1]
    bench.follow(*CATALOGUE)
    after = bench.read()
    assert {name for name in names if "observed" in name and float(after[name]) < float(before[name]) + 0.9} == set()


def test_a_new_plan_asks_for_other_fields_and_what_trackers_know_stays() -> None:
    gpu = "{profile: h100-sxm, nvlink: true, load: 40, faults: [{kind: xid, at_s: 5, code: 79}]}"
    tracked = [reading for reading in CATALOGUE if isinstance(reading, Tracked)]
    bench = Bench(tracked, gpu)
    bench.read()
    bench.clock.advance(6)
    assert bench.read()["DCGM_FI_DEV_XID_ERROR"] == 79
    bench.follow(*READINGS, *tracked)
    values = bench.read()
    assert values["DCGM_FI_DEV_XID_ERROR"] == 79
    assert values.keys() >= {"FAST", "DCGM_FI_PROF_GR_ENGINE_UTIL_RATIO", "DCGM_FI_DEV_NVLINK_THROUGHPUT_TOTAL"}
    assert bench.nvml.calls["nvmlDeviceRegisterEvents"] == 1
    bench.follow(*READINGS)
    assert bench.read().keys() == {"FAST", "SLOW", "ONCE"}
    bench.follow(*tracked)
    values = bench.read()
    assert values["DCGM_FI_DEV_XID_ERROR"] == 79
    assert bench.nvml.calls["nvmlDeviceRegisterEvents"] == 1
    assert not {name for name in values if "PROF" in name or "THROUGHPUT" in name}, "the last readings are too old"


def test_what_trackers_hold_is_given_back_in_the_end() -> None:
    bench = Bench(CATALOGUE)
    bench.read()
    bench.read()
    bench.sampler.close()
    assert bench.nvml.calls["nvmlEventSetFree"] == 1
    assert bench.nvml.calls["nvmlGpmSampleFree"] == bench.nvml.calls["nvmlGpmSampleAlloc"] == 2
