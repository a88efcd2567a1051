import ctypes
import math
from collections.abc import Callable
from typing import Any

import pynvml
import pytest
from pynvml import NVML_GPM_METRIC_GRAPHICS_UTIL as GRAPHICS
from pynvml import NVML_GPM_METRIC_PCIE_TX_PER_SEC as PCIE_TX

from exporter.catalogue.convert import attr, same
from exporter.catalogue.reading import Field, Scope, Tracked, Tracker
from exporter.model import Reason
from tests.unit.faulty_nvml import failing
from tests.unit.sampling.trackers.bench import Bench

BUSY = Tracked(Tracker.GPM, (GRAPHICS,), (Field("BUSY", same),), Scope.INSTANCE)
SENT = Tracked(Tracker.GPM, (PCIE_TX,), (Field("SENT", same),), Scope.GPU)


def test_gpm_needs_a_pair_of_samples_and_then_tells_their_mean() -> None:
    bench = Bench(
        Tracker.GPM,
        "{profile: h100-sxm, load: {kind: steps, steps: [{for_s: 1, percent: 20}, {for_s: 9, percent: 60}]}}",
    )
    assert bench.read(BUSY) == [Reason.NO_SAMPLE_YET]
    (early,) = bench.read(BUSY, after_s=0.15)
    (mean,) = bench.read(BUSY, after_s=1.7)
    assert early == pytest.approx(20, abs=1)
    assert mean == pytest.approx((0.85 * 20 + 0.85 * 60) / 1.7, abs=1)


def test_samples_too_close_to_each_other_are_not_taken_and_the_last_answer_stands() -> None:
    bench = Bench(Tracker.GPM, "{profile: h100-sxm, load: 40}")
    bench.read(BUSY)
    before = bench.read(BUSY, after_s=0.15)
    assert bench.read(BUSY, after_s=0.02) == before
    assert bench.nvml.calls["nvmlGpmSampleGet"] == 2


def test_gpm_of_a_mig_gpu_is_each_instances_own_but_for_what_only_the_gpu_has() -> None:
    gpu = "{profile: a100-sxm, mig: [3g.40gb, 2g.20gb]}"
    bench = Bench(Tracker.GPM, gpu)
    asked: list[int] = []
    bench.nvml.replaced |= _gpm_by_instance(asked)
    bench.read(BUSY, SENT)
    answers = {(a.entity.instance, a.reading): a.answer for a in _after(bench, 1.0, BUSY, SENT)}
    by_id = {i.gpu_instance_id: (answers[i, BUSY], answers[i, SENT]) for i, _ in answers if i}
    assert len(by_id) == 2
    assert {busy for busy, _ in by_id.values()} == {100.0 + i for i in by_id}
    assert {sent for _, sent in by_id.values()} == {7.0}


def _after(bench: Bench, seconds: float, *readings: Tracked) -> list[Any]:
    bench.clock.advance(seconds)
    return list(bench.tracker.collect(readings, {}))


def _gpm_by_instance(asked: list[int]) -> dict[str, Callable[..., Any]]:
    """Return GPM functions of a machine whose metrics tell the instance that a sample was taken of; 7 is the GPU."""
    owners: dict[int, float] = {}

    def support(_: Any) -> Any:
        answer = pynvml.c_nvmlGpmSupport_t()
        answer.isSupportedDevice = 1
        return answer

    def alloc() -> Any:
        asked.append(len(asked) + 1)
        return ctypes.cast(ctypes.c_void_p(asked[-1]), pynvml.c_nvmlGpmSample_t)

    def key(sample: Any) -> int:
        return ctypes.cast(sample, ctypes.c_void_p).value or 0

    def whole(_: Any, sample: Any) -> Any:
        owners[key(sample)] = 7.0

    def part(_: Any, instance_id: int, sample: Any) -> Any:
        owners[key(sample)] = 100.0 + instance_id

    def metrics(request: Any) -> Any:
        assert owners[key(request.sample1)] == owners[key(request.sample2)]
        for metric in request.metrics[: request.numMetrics]:
            metric.nvmlReturn, metric.value = 0, owners[key(request.sample1)]

    return {
        "nvmlGpmQueryDeviceSupport": support,
        "nvmlGpmSampleAlloc": alloc,
        "nvmlGpmSampleGet": whole,
        "nvmlGpmMigSampleGet": part,
        "nvmlGpmMetricsGet": metrics,
    }


def test_older_gpus_do_not_support_gpm() -> None:
    bench = Bench(Tracker.GPM, "{profile: t4}")
    assert bench.read(BUSY) == [Reason.NOT_SUPPORTED]
    assert bench.nvml.calls["nvmlGpmSampleAlloc"] == 0


def test_a_question_for_gpm_that_failed_is_asked_again() -> None:
    bench = Bench(Tracker.GPM, "{profile: h100-sxm, load: 40}")
    bench.nvml.replaced["nvmlGpmQueryDeviceSupport"] = failing(pynvml.NVML_ERROR_UNKNOWN)
    assert bench.read(BUSY) == [Reason.UNKNOWN]
    del bench.nvml.replaced["nvmlGpmQueryDeviceSupport"]
    assert bench.read(BUSY, after_s=1) == [Reason.NO_SAMPLE_YET]
    assert math.isfinite(bench.read(BUSY, after_s=1)[0])


def test_a_sample_that_failed_ends_the_pair_and_gives_its_memory_back() -> None:
    bench = Bench(Tracker.GPM, "{profile: h100-sxm, load: 40}")
    bench.read(BUSY)
    bench.read(BUSY, after_s=1)
    bench.nvml.replaced["nvmlGpmSampleGet"] = failing(pynvml.NVML_ERROR_GPU_IS_LOST)
    assert bench.read(BUSY, after_s=1) == [Reason.GPU_LOST]
    assert bench.nvml.calls["nvmlGpmSampleFree"] == bench.nvml.calls["nvmlGpmSampleAlloc"] == 2
    del bench.nvml.replaced["nvmlGpmSampleGet"]
    assert bench.read(BUSY, after_s=1) == [Reason.NO_SAMPLE_YET]


def test_gpm_samples_are_given_back_in_the_end() -> None:
    bench = Bench(Tracker.GPM, "{profile: h100-sxm, load: 40}")
    for _ in range(5):
        bench.read(BUSY, after_s=1)
    bench.tracker.close()
    assert bench.nvml.calls["nvmlGpmSampleFree"] == bench.nvml.calls["nvmlGpmSampleAlloc"] == 2


STEPS = "{profile: h100-sxm, load: {kind: steps, steps: [{for_s: 10, percent: 20}, {for_s: 90, percent: 60}]}}"
TOTAL = Tracked(Tracker.GPM, (GRAPHICS,), (Field("OBSERVED", attr("observed_s")),), Scope.INSTANCE, is_total=True)


def test_a_reading_that_nobody_has_had_does_not_shorten_the_span_of_a_mean() -> None:
    bench = Bench(Tracker.GPM, STEPS)
    bench.read(BUSY)
    for _ in range(19):
        (mean,) = _after(bench, 1.0, BUSY)
    assert mean.answer == pytest.approx((10 * 20 + 9 * 60) / 19, abs=1)
    (mean,) = bench.read(BUSY, after_s=1.0)
    assert mean == pytest.approx(60, abs=1)


def test_totals_that_are_read_more_often_than_means_do_not_shorten_their_span() -> None:
    bench = Bench(Tracker.GPM, STEPS)
    bench.read(BUSY, TOTAL)
    for _ in range(14):
        (total,) = bench.read(TOTAL, after_s=1.0)
    assert total.observed_s == pytest.approx(14)
    mean, total = bench.read(BUSY, TOTAL, after_s=1.0)
    assert mean == pytest.approx((10 * 20 + 5 * 60) / 15, abs=0.5)
    assert (total.observed_s, total.active_s[GRAPHICS]) == pytest.approx((15, 10 * 0.2 + 5 * 0.6), abs=0.05)
    for _ in range(3):
        bench.read(TOTAL, after_s=1.0)
    bench.tracker.close()
    assert bench.nvml.calls["nvmlGpmSampleFree"] == bench.nvml.calls["nvmlGpmSampleAlloc"] <= 4
