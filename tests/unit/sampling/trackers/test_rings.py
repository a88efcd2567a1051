"""Counters of busy and observed seconds from the driver's ring of samples."""

import math
from collections.abc import Callable
from typing import Any

import pynvml
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pynvml import NVML_GPU_UTILIZATION_SAMPLES as RING

from exporter.catalogue.convert import attr
from exporter.catalogue.reading import Field, Tracked, Tracker
from exporter.mock.machine.signals import Signal, mean
from exporter.model import Reason
from exporter.sampling.trackers.rings import Utilization
from tests.unit.faulty_nvml import failing
from tests.unit.mock_loads import LOADS
from tests.unit.sampling.trackers.bench import Bench

BUSY = Tracked(Tracker.RINGS, (RING,), (Field("BUSY", attr("busy_s")),))
SAMPLE_S = 0.2
HALF = "{kind: steps, repeat: true, steps: [{for_s: 0.5, percent: 100}, {for_s: 0.5, percent: 0}]}"


def bench_of(load: str) -> Bench:
    return Bench(Tracker.RINGS, f"{{profile: h100-sxm, load: {load}}}")


def read(bench: Bench, after_s: float = 0.0) -> Utilization:
    (answer,) = bench.read(BUSY, after_s=after_s)
    assert isinstance(answer, Utilization)
    return answer


def signal_of(bench: Bench) -> Signal:
    signal: Signal = bench.nvml.machine.gpus[0].gauges.sampled["gpu_utilization_percent"]
    return signal


def now(bench: Bench) -> float:
    seconds: float = bench.nvml.machine.now()
    return seconds


def percent_between(older: Utilization, newer: Utilization) -> float:
    return 100 * (newer.busy_s - older.busy_s) / (newer.observed_s - older.observed_s)


def grid(t: float) -> float:
    """Return the end of the last sample that the driver has taken."""
    return math.floor(t / SAMPLE_S) * SAMPLE_S


@settings(max_examples=20, deadline=None)
@given(load=LOADS, waits=st.lists(st.floats(0.01, 10), min_size=8, max_size=30))
def test_the_quotient_of_the_counters_is_the_loads_mean_over_what_was_observed(load: str, waits: list[float]) -> None:
    bench = bench_of(load)
    older, began = read(bench), grid(now(bench))
    for wait_s in [*waits, 2.0]:
        newer = read(bench, wait_s)
    ended = grid(now(bench))
    assert newer.observed_s - older.observed_s == pytest.approx(ended - began, abs=1e-5)
    assert percent_between(older, newer) == pytest.approx(mean(signal_of(bench), began, ended), abs=0.51)


@settings(max_examples=20, deadline=None)
@given(load=LOADS, waits=st.lists(st.floats(0.1, 10), min_size=1, max_size=30))
def test_the_quotient_over_a_minute_is_the_loads_mean_within_one_and_a_half_points(
    load: str, waits: list[float]
) -> None:
    bench = bench_of(load)
    older, began, number = read(bench), now(bench), 0
    while now(bench) - began < 60:
        newer, number = read(bench, waits[number % len(waits)]), number + 1
    assert percent_between(older, newer) == pytest.approx(mean(signal_of(bench), began, now(bench)), abs=1.5)


@settings(max_examples=20, deadline=None)
@given(load=LOADS, every_s=st.sampled_from([0.5, 2.0, 5.0, 10.0]))
def test_counters_are_equal_however_seldom_the_ring_is_read(load: str, every_s: float) -> None:
    each_second, other = bench_of(load), bench_of(load)
    read(each_second)
    read(other)
    for _ in range(60):
        expected = read(each_second, 1.0)
    for _ in range(round(60 / every_s)):
        found = read(other, every_s)
    assert found[:2] == pytest.approx(expected[:2], abs=1e-5)


@settings(max_examples=20, deadline=None)
@given(load=LOADS, pause_s=st.floats(15, 100_000))
def test_what_has_fallen_out_of_the_ring_is_not_observed(load: str, pause_s: float) -> None:
    bench = bench_of(load)
    older = read(bench)
    newer = read(bench, pause_s)
    ended = grid(now(bench))
    assert newer.observed_s - older.observed_s == pytest.approx(71 * SAMPLE_S, abs=1e-4)
    assert percent_between(older, newer) == pytest.approx(mean(signal_of(bench), ended - 71 * SAMPLE_S, ended), abs=0.6)


def test_a_tracker_that_begins_counts_nothing_of_what_was_before() -> None:
    bench = bench_of("100")
    bench.clock.advance(100)
    assert read(bench) == (0.0, 0.0, 100.0)
    assert read(bench, 1.0)[:2] == pytest.approx((1.0, 1.0))


def test_totals_stay_and_go_on_after_an_interruption() -> None:
    bench = bench_of("50")
    read(bench)
    read(bench, 5)
    bench.tracker.interrupt()
    assert read(bench)[:2] == pytest.approx((2.5, 5.0))
    assert read(bench, 5)[:2] == pytest.approx((5.0, 10.0))


def with_clock_set(bench: Bench, shift_s: float) -> Callable[..., Any]:
    """Return a nvmlDeviceGetSamples of a driver whose clock is set from now on."""
    real, since_us = bench.nvml.nvmlDeviceGetSamples, round(bench.clock.time() * 1e6)

    def answer(handle: Any, kind: int, newer_than_us: int) -> Any:
        value_type, samples = real(handle, kind, 0)
        for sample in samples:
            if sample.timeStamp > since_us:
                sample.timeStamp += round(shift_s * 1e6)
        newer = [sample for sample in samples if sample.timeStamp > newer_than_us]
        return (value_type, newer) if newer else failing(pynvml.NVML_ERROR_NOT_FOUND)()

    return answer


@settings(max_examples=20, deadline=None)
@given(shift_s=st.floats(-100_000, 100_000), every_s=st.sampled_from([0.5, 1.0, 5.0, 10.0]))
def test_a_step_of_the_drivers_clock_is_never_counted_and_soon_forgotten(shift_s: float, every_s: float) -> None:
    bench = bench_of("30")
    read(bench)
    older = read(bench, 10)
    bench.nvml.replaced["nvmlDeviceGetSamples"] = with_clock_set(bench, shift_s)
    passed_s = 0.0
    while passed_s < 30:
        before, newer, passed_s = older, read(bench, every_s), passed_s + every_s
        assert newer.busy_s >= before.busy_s
        assert 10 <= newer.observed_s <= 10 + passed_s + 2 * SAMPLE_S
        older = newer
    assert percent_between(Utilization(3, 10, 0), newer) == pytest.approx(30, abs=0.1)
    again = read(bench, 5.0)
    assert again.observed_s - newer.observed_s == pytest.approx(5, abs=0.3)


_SAMPLES = st.lists(st.tuples(st.integers(0, 2**40), st.integers(0, 200)), max_size=20)


@settings(max_examples=20, deadline=None)
@given(rings=st.lists(_SAMPLES, max_size=10))
def test_whatever_a_ring_holds_no_counter_falls_and_none_is_busier_than_observed(
    rings: list[list[tuple[int, int]]],
) -> None:
    bench = bench_of("30")
    before = Utilization(0.0, 0.0, 0.0)
    for ring in rings:
        bench.nvml.replaced["nvmlDeviceGetSamples"] = lambda *_, ring=ring: (
            pynvml.NVML_VALUE_TYPE_UNSIGNED_INT,
            [_sample(*one) for one in ring],
        )
        (after,) = bench.read(BUSY, after_s=1.0)
        if after is Reason.OUT_OF_RANGE:  # it holds nothing but what is no percentage
            continue
        assert after.busy_s >= before.busy_s
        assert after.observed_s >= before.observed_s
        assert after.busy_s <= after.observed_s
        before = after


def _sample(at_us: int, value: int) -> Any:
    sample = pynvml.c_nvmlSample_t()
    sample.timeStamp, sample.sampleValue.uiVal = at_us, value
    return sample


def test_a_ring_that_goes_backwards_counts_no_sample_twice() -> None:
    bench = bench_of("100")
    read(bench)
    before = read(bench, 2.0)
    real = bench.nvml.nvmlDeviceGetSamples

    def backwards(handle: Any, kind: int, _: int) -> Any:
        value_type, samples = real(handle, kind, 0)
        return value_type, samples[::-1]

    bench.nvml.replaced["nvmlDeviceGetSamples"] = backwards
    assert read(bench)[:2] == before[:2]
    assert read(bench, 2.0)[:2] == pytest.approx((4.0, 4.0))


def test_the_mean_is_that_since_the_answer_before_and_stays_while_there_is_no_new_sample() -> None:
    bench = bench_of(
        "{kind: steps, steps: [{for_s: 2, percent: 100}, {for_s: 2, percent: 50}, {for_s: 1, percent: 0}]}"
    )
    read(bench)
    assert read(bench, 2.0).percent == 100
    assert read(bench, 2.0).percent == 50
    assert read(bench, 0.1).percent == 50
    assert read(bench, 2.0).percent == 0


def test_a_driver_that_takes_no_samples_any_more_has_no_mean() -> None:
    bench = bench_of("50")
    read(bench)
    read(bench, 1.0)
    bench.nvml.replaced["nvmlDeviceGetSamples"] = failing(pynvml.NVML_ERROR_NOT_FOUND)
    assert read(bench, 1.0).percent == 50
    assert read(bench, 2.0).percent is Reason.NO_SAMPLE_YET


def test_what_is_read_between_two_collections_is_in_the_next_one() -> None:
    bench = bench_of(HALF)
    read(bench)
    for _ in range(6):
        bench.clock.advance(10)
        bench.tracker.keep_up()
    assert read(bench) == pytest.approx((30.0, 60.0, 50.0))
    assert bench.nvml.calls["nvmlDeviceGetSamples"] == 7


def test_gpus_with_mig_have_no_rings() -> None:
    bench = Bench(Tracker.RINGS, "{profile: a100-sxm, mig: [3g.40gb, 2g.20gb]}")
    assert bench.read(BUSY) == [Reason.NOT_SUPPORTED] * 2
    bench.tracker.keep_up()
    assert bench.nvml.calls["nvmlDeviceGetSamples"] == 1


def test_a_lost_gpu_is_told_and_its_counters_go_on_when_it_is_back() -> None:
    bench = bench_of("100")
    read(bench)
    read(bench, 5)
    bench.nvml.replaced["nvmlDeviceGetSamples"] = failing(pynvml.NVML_ERROR_GPU_IS_LOST)
    assert bench.read(BUSY, after_s=100) == [Reason.GPU_LOST]
    del bench.nvml.replaced["nvmlDeviceGetSamples"]
    assert read(bench)[:2] == pytest.approx((19.2, 19.2), abs=0.01)


def test_two_readings_of_a_ring_are_one_call() -> None:
    bench = bench_of("100")
    mean_percent = Tracked(Tracker.RINGS, (RING,), (Field("MEAN", attr("percent")),))
    assert len(bench.read(BUSY, mean_percent)) == 2
    assert bench.nvml.calls["nvmlDeviceGetSamples"] == 1


def test_a_reading_that_nobody_has_had_does_not_shorten_the_span_of_the_mean() -> None:
    bench = bench_of("{kind: steps, steps: [{for_s: 2, percent: 100}, {for_s: 9, percent: 0}]}")
    mean_percent = Tracked(Tracker.RINGS, (RING,), (Field("MEAN", attr("percent")),))
    bench.read(mean_percent)
    found = []
    for _ in range(2):
        bench.clock.advance(2.0)
        (observation,) = bench.tracker.collect((mean_percent,), {})
        assert isinstance(observation.answer, Utilization)
        found.append(observation.answer.percent)
    assert found == [100, pytest.approx(50)]
