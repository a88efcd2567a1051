"""Counters of active and observed seconds from GPM's pairs of samples."""

import math
from typing import Any

import pynvml
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pynvml import NVML_GPM_METRIC_DRAM_BW_UTIL as DRAM
from pynvml import NVML_GPM_METRIC_GRAPHICS_UTIL as GRAPHICS

from exporter.catalogue.convert import attr, same
from exporter.catalogue.reading import Field, Scope, Tracked, Tracker
from exporter.mock.machine.signals import mean
from exporter.model import Reason
from exporter.sampling.trackers.active_seconds import ActiveSeconds
from tests.unit.faulty_nvml import failing
from tests.unit.mock_loads import LOADS
from tests.unit.sampling.trackers.bench import Bench

ACTIVE = Tracked(Tracker.GPM, (GRAPHICS, DRAM), (Field("OBSERVED", attr("observed_s")),), Scope.INSTANCE, is_total=True)
BUSY = Tracked(Tracker.GPM, (GRAPHICS,), (Field("BUSY", same),), Scope.INSTANCE)


def bench_of(load: str) -> Bench:
    return Bench(Tracker.GPM, f"{{profile: h100-sxm, load: {load}}}")


def read(bench: Bench, after_s: float = 1.0) -> ActiveSeconds:
    (answer,) = bench.read(ACTIVE, after_s=after_s)
    assert isinstance(answer, ActiveSeconds)
    return answer


def answering(bench: Bench, value: float = 50.0, **of_metric: Any) -> None:
    """Let GPM answer a value for graphics, and for DRAM a value or a return code."""
    real = bench.nvml.nvmlGpmMetricsGet

    def answer(request: Any) -> Any:
        real(request)
        for metric in request.metrics[: request.numMetrics]:
            metric.value = value if metric.metricId == GRAPHICS else of_metric.get("dram", value)
            metric.nvmlReturn = 0 if metric.metricId == GRAPHICS else of_metric.get("dram_return", 0)
        return request

    bench.nvml.replaced["nvmlGpmMetricsGet"] = answer


@settings(max_examples=20, deadline=None)
@given(load=LOADS, waits=st.lists(st.floats(0.1, 60), min_size=1, max_size=20))
@example(
    load="{kind: replay, recording: h100-trace, at_end: repeat}",
    waits=[59.0, 1.0, 10.0, 15.0, 25.0, 29.0, 29.0, 42.0, 47.0, 52.0, 55.0, 1.0, 1.0, 6.0],
)
def test_the_quotient_of_the_counters_is_the_loads_mean_over_any_window(load: str, waits: list[float]) -> None:
    bench = bench_of(load)
    bench.read(ACTIVE)
    began = bench.nvml.machine.now()
    for wait_s in waits:
        newer = read(bench, wait_s)
    ended = bench.nvml.machine.now()
    assert newer.observed_s == pytest.approx(ended - began)
    for metric in (GRAPHICS, DRAM):
        true = mean(bench.nvml.machine.gpus[0].gauges.gpm[metric], began, ended)
        assert 100 * newer.active_s[metric] / newer.observed_s == pytest.approx(true, abs=0.01)


def test_a_first_sample_has_no_seconds() -> None:
    assert bench_of("40").read(ACTIVE) == [Reason.NO_SAMPLE_YET]


def test_means_and_seconds_are_from_one_pair_and_one_call() -> None:
    bench = bench_of("40")
    for _ in range(3):
        bench.read(ACTIVE, BUSY, after_s=1.0)
    assert (bench.nvml.calls["nvmlGpmSampleGet"], bench.nvml.calls["nvmlGpmMetricsGet"]) == (3, 2)


def test_a_gap_is_counted_by_neither_and_totals_stay() -> None:
    bench = bench_of("40")
    bench.read(ACTIVE)
    before = read(bench)
    bench.tracker.interrupt()
    assert read(bench, 100.0) == before
    assert read(bench, 1.0).observed_s == pytest.approx(before.observed_s + 1)


@pytest.mark.parametrize("wrong", [math.nan, 101.0, -1.0, math.inf, 4294967295.0])
def test_a_span_in_which_one_unit_has_no_sound_number_counts_for_none(wrong: float) -> None:
    bench = bench_of("40")
    bench.read(ACTIVE)
    before = read(bench)
    answering(bench, dram=wrong)
    assert read(bench) == before
    answering(bench, dram=40.0)
    after = read(bench)
    assert after.observed_s - before.observed_s == pytest.approx(1)
    assert after.active_s[DRAM] - before.active_s[DRAM] == pytest.approx(0.4)


def test_a_unit_that_the_gpu_does_not_have_keeps_no_other_from_counting() -> None:
    bench = bench_of("40")
    bench.read(ACTIVE)
    answering(bench, dram_return=pynvml.NVML_ERROR_NOT_SUPPORTED)
    assert read(bench) == ActiveSeconds(1.0, {GRAPHICS: 0.5})


def test_a_mean_that_rounding_lifts_above_full_load_is_full_load_exactly() -> None:
    bench = bench_of("40")
    bench.read(ACTIVE)
    answering(bench, 100.3)
    for _ in range(10):
        total = read(bench, 0.7)
    assert total.active_s[GRAPHICS] == total.observed_s


def test_why_there_is_no_gpm_is_told() -> None:
    assert Bench(Tracker.GPM, "{profile: t4}").read(ACTIVE) == [Reason.NOT_SUPPORTED]
    bench = bench_of("40")
    bench.read(ACTIVE)
    read(bench)
    bench.nvml.replaced["nvmlGpmSampleGet"] = failing(pynvml.NVML_ERROR_GPU_IS_LOST)
    assert bench.read(ACTIVE, after_s=1.0) == [Reason.GPU_LOST]


def test_each_mig_instance_has_its_own_seconds() -> None:
    mig = "{profile: 1g.10gb, load: 20}, {profile: 4g.40gb, load: 80}"
    bench = Bench(Tracker.GPM, f"{{profile: h100-sxm, mig: [{mig}]}}")
    bench.read_entities(ACTIVE)
    answers = bench.read_entities(ACTIVE, after_s=10.0)
    active = {e.instance.profile: answer.active_s[GRAPHICS] for e, answer in answers.items() if e.instance}
    assert active == pytest.approx({"1g.10gb": 2, "4g.40gb": 8}, abs=0.2)
