import ctypes
import math
from collections.abc import Callable, Iterator
from typing import Any

import pynvml
import pytest
from pynvml import NVML_GPM_METRIC_GRAPHICS_UTIL as GRAPHICS
from pynvml import NVML_GPM_METRIC_PCIE_TX_PER_SEC as PCIE_TX

from exporter.catalogue.convert import same
from exporter.catalogue.reading import ALL_LINKS, Field, Scope, Tracked, Tracker
from exporter.model import Clock, Entity, Reason
from exporter.nvml.calls import Calls, FieldAnswer
from exporter.nvml.entities import Device, Layout, find_layout, select
from exporter.sampling.trackers import TRACKERS
from exporter.sampling.trackers.tracker import DeviceTracker, Observation
from exporter.settings import parse_devices
from tests.unit.fake_clock import FakeClock
from tests.unit.faulty_nvml import FaultyNvml, failing
from tests.unit.mock_machines import scenario, started

RX, TX = pynvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX, pynvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX
RATE = Tracked(Tracker.RATES, (ALL_LINKS, RX, TX), (Field("RATE", same),))
XID = Tracked(Tracker.XIDS, (), (Field("XID", same),))
BUSY = Tracked(Tracker.GPM, (GRAPHICS,), (Field("BUSY", same),), Scope.INSTANCE)
SENT = Tracked(Tracker.GPM, (PCIE_TX,), (Field("SENT", same),), Scope.GPU)


class Bench:
    """One GPU of a mock machine and the tracker that reads it."""

    def __init__(self, kind: Tracker, gpu: str, devices: str = "f") -> None:
        self.clock = FakeClock()
        self.nvml = FaultyNvml(started(scenario(f"gpus: [{gpu}]"), self.clock))
        self._calls = Calls(self.nvml)
        layout = find_layout(self._calls, 0)
        assert isinstance(layout, Layout)
        self.device = select({0: layout}, parse_devices(devices))[0]
        make: Callable[[Calls, Device, Clock], DeviceTracker] = TRACKERS[kind]
        self.tracker = make(self._calls, self.device, self.clock)

    def read(self, *readings: Tracked, after_s: float = 0.0) -> list[Any]:
        """Return the answers after some time."""
        self.clock.advance(after_s)
        return [answer.answer for answer in self._collect(readings)]

    def read_entities(self, *readings: Tracked, after_s: float = 0.0) -> dict[Entity, Any]:
        self.clock.advance(after_s)
        return {answer.entity: answer.answer for answer in self._collect(readings)}

    def _collect(self, readings: tuple[Tracked, ...]) -> Iterator[Observation]:
        ids = self.tracker.needs(readings)
        answers = self._calls.field_values(self.device.handle, ids) if ids else []
        found = [FieldAnswer(answers)] * len(ids) if isinstance(answers, Reason) else answers
        return self.tracker.collect(readings, dict(zip(ids, found, strict=True)))


def links(received: int, transmitted: int, at_us: int) -> Callable[..., Any]:
    """Return a nvmlDeviceGetFieldValues that answers two counters."""

    def answer(_handle: Any, ids: tuple[tuple[int, int], ...]) -> Any:
        values = (pynvml.c_nvmlFieldValue_t * len(ids))()
        for value, (field_id, _) in zip(values, ids, strict=True):
            value.valueType, value.timestamp = pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG, at_us
            value.value.ullVal = received if field_id == RX else transmitted
        return values

    return answer


@pytest.fixture
def rates() -> Bench:
    return Bench(Tracker.RATES, "{profile: h100-sxm, nvlink: true, load: 50}")


def read_links(bench: Bench, received: int, transmitted: int, at_us: int, after_s: float = 1.0) -> Any:
    bench.nvml.replaced["nvmlDeviceGetFieldValues"] = links(received, transmitted, at_us)
    (answer,) = bench.read(RATE, after_s=after_s)
    return answer


def test_a_first_reading_has_no_rate_and_the_next_has_that_of_the_sum(rates: Bench) -> None:
    assert read_links(rates, 1000, 500, 10_000_000) is Reason.NO_SAMPLE_YET
    assert read_links(rates, 4000, 1500, 11_000_000) == 4000


def test_a_rate_goes_by_the_drivers_clock(rates: Bench) -> None:
    read_links(rates, 0, 0, 10_000_000)
    assert read_links(rates, 800, 0, 10_800_000, after_s=1.0) == pytest.approx(1000)


def test_a_driver_whose_clock_was_set_meanwhile_gives_no_rate_once(rates: Bench) -> None:
    read_links(rates, 0, 0, 10_000_000)
    assert read_links(rates, 1000, 0, 10_100_000) is Reason.NO_SAMPLE_YET
    assert read_links(rates, 2000, 0, 9_000_000) is Reason.NO_SAMPLE_YET
    assert read_links(rates, 3000, 0, 99_000_000) is Reason.NO_SAMPLE_YET
    assert read_links(rates, 4000, 0, 100_000_000) == 1000


def test_a_counter_that_began_anew_gives_no_rate_whatever_the_other_one_does(rates: Bench) -> None:
    read_links(rates, 5000, 1000, 1_000_000)
    assert read_links(rates, 10, 90_000, 2_000_000) is Reason.NO_SAMPLE_YET
    assert read_links(rates, 20, 90_000, 3_000_000) == 10


def test_a_rate_begins_anew_after_a_reading_that_failed(rates: Bench) -> None:
    read_links(rates, 0, 0, 1_000_000)
    rates.nvml.replaced["nvmlDeviceGetFieldValues"] = failing(pynvml.NVML_ERROR_UNKNOWN)
    assert rates.read(RATE, after_s=1.0) == [Reason.UNKNOWN]
    assert read_links(rates, 100, 0, 3_000_000) == 50


@pytest.mark.parametrize(("kind", "reading"), [(Tracker.RATES, RATE), (Tracker.GPM, BUSY)])
def test_what_was_read_before_an_interruption_is_compared_with_nothing(kind: Tracker, reading: Tracked) -> None:
    bench = Bench(kind, "{profile: h100-sxm, nvlink: true, load: 50}")
    bench.read(reading)
    bench.read(reading, after_s=1.0)
    bench.tracker.interrupt()
    assert bench.read(reading, after_s=1.0) == [Reason.NO_SAMPLE_YET]
    (answer,) = bench.read(reading, after_s=1.0)
    assert math.isfinite(answer)


def test_an_interruption_takes_no_xid_away() -> None:
    bench = Bench(Tracker.XIDS, "{profile: h100-sxm, faults: [{kind: xid, at_s: 5, code: 31}]}")
    bench.read(XID)
    bench.tracker.interrupt()
    assert [answer.code for answer in bench.read(XID, after_s=6)] == [31]


def test_of_a_gpu_that_is_gone_only_an_xid_stays() -> None:
    faults = "[{kind: xid, at_s: 5, code: 79}, {kind: lost, at_s: 5}]"
    words: list[list[Any]] = []
    for kind, reading, gpu in (
        (Tracker.XIDS, XID, f"{{profile: h100-sxm, faults: {faults}}}"),
        (Tracker.XIDS, XID, "{profile: h100-sxm, faults: [{kind: lost, at_s: 5}]}"),
        (Tracker.GPM, BUSY, f"{{profile: h100-sxm, faults: {faults}}}"),
    ):
        bench = Bench(kind, gpu)
        bench.read(reading)
        bench.clock.advance(6)
        words.append([observation.answer for observation in bench.tracker.last_words((reading,))])
    assert [[answer.code for answer in answers] for answers in words] == [[79], [], []]


def test_links_that_a_gpu_does_not_have_are_not_supported() -> None:
    assert Bench(Tracker.RATES, "{profile: t4}").read(RATE) == [Reason.NOT_SUPPORTED]


def test_several_rates_are_read_by_one_call(rates: Bench) -> None:
    received = Tracked(Tracker.RATES, (ALL_LINKS, RX), (Field("RECEIVED", same),))
    rates.read(RATE, received)
    total, part = rates.read(RATE, received, after_s=1.0)
    assert 0 < part < total
    assert rates.nvml.calls["nvmlDeviceGetFieldValues"] == 2


def test_an_xid_is_0_until_one_is_heard_and_then_its_code() -> None:
    bench = Bench(Tracker.XIDS, "{profile: h100-sxm, faults: [{kind: xid, at_s: 5, code: 31}]}")
    (none,) = bench.read(XID)
    assert (none.code, none.listening_since) == (0, bench.clock.time())
    assert [answer.code for answer in bench.read(XID, after_s=6)] == [31]
    (again,) = bench.read(XID, after_s=100)
    assert again == (31, none.listening_since)


def test_the_last_of_several_xids_counts() -> None:
    faults = "[{kind: xid, at_s: 5, code: 31}, {kind: xid, at_s: 6, code: 48}]"
    bench = Bench(Tracker.XIDS, f"{{profile: h100-sxm, faults: {faults}}}")
    bench.read(XID)
    assert [answer.code for answer in bench.read(XID, after_s=9)] == [48]


def test_an_xid_of_a_gpu_instance_is_that_instances_and_any_other_is_everyones() -> None:
    gpu = "{profile: a100-sxm, mig: [3g.40gb, 3g.40gb], faults: [{kind: xid, at_s: 5, code: 94, gpu_instance: 2}, "
    bench = Bench(Tracker.XIDS, gpu + "{kind: xid, at_s: 9, code: 79}]}")
    bench.read(XID)

    def codes(after_s: float) -> dict[int, int]:
        answers = bench.read_entities(XID, after_s=after_s)
        return {e.instance.gpu_instance_id: answer.code for e, answer in answers.items() if e.instance}

    assert codes(6) == {1: 0, 2: 94}
    assert codes(4) == {1: 79, 2: 79}


def test_a_whole_gpu_hears_the_xids_of_its_instances() -> None:
    gpu = "{profile: a100-sxm, mig: [3g.40gb], faults: [{kind: xid, at_s: 5, code: 94, gpu_instance: 1}]}"
    bench = Bench(Tracker.XIDS, gpu, "g")
    bench.read(XID)
    assert [answer.code for answer in bench.read(XID, after_s=6)] == [94]


def test_a_driver_that_refuses_to_tell_xids_is_asked_again_and_listening_begins_then() -> None:
    bench = Bench(Tracker.XIDS, "{profile: h100-sxm}")
    bench.nvml.replaced["nvmlDeviceRegisterEvents"] = failing(pynvml.NVML_ERROR_UNKNOWN)
    assert bench.read(XID) == [Reason.UNKNOWN]
    assert bench.nvml.calls["nvmlEventSetFree"] == 1
    del bench.nvml.replaced["nvmlDeviceRegisterEvents"]
    (heard,) = bench.read(XID, after_s=7)
    assert heard == (0, bench.clock.time())


def test_a_gpu_without_xid_events_does_not_support_them() -> None:
    bench = Bench(Tracker.XIDS, "{profile: h100-sxm}")
    bench.nvml.replaced["nvmlDeviceGetSupportedEventTypes"] = lambda _: 0
    assert bench.read(XID) == [Reason.NOT_SUPPORTED]


def test_an_xid_that_came_before_the_gpu_was_lost_is_not_forgotten() -> None:
    gpu = "{profile: h100-sxm, faults: [{kind: xid, at_s: 5, code: 79}, {kind: lost, at_s: 5, until_s: 20}]}"
    bench = Bench(Tracker.XIDS, gpu)
    bench.read(XID)
    assert [answer.code for answer in bench.read(XID, after_s=6)] == [79]
    assert [answer.code for answer in bench.read(XID, after_s=20)] == [79]


def test_the_event_set_is_given_back_once() -> None:
    bench = Bench(Tracker.XIDS, "{profile: h100-sxm}")
    bench.read(XID)
    bench.tracker.close()
    bench.tracker.close()
    assert bench.nvml.calls["nvmlEventSetFree"] == 1


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
