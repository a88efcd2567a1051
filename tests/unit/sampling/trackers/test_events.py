from typing import Any

import pynvml
import pytest
from pynvml import NVML_GPM_METRIC_GRAPHICS_UTIL as GRAPHICS

from exporter.catalogue.convert import same
from exporter.catalogue.reading import Field, Scope, Tracked, Tracker
from exporter.model import Reason
from tests.unit.faulty_nvml import failing
from tests.unit.sampling.trackers.bench import Bench

XID = Tracked(Tracker.XIDS, (), (Field("XID", same),))
BUSY = Tracked(Tracker.GPM, (GRAPHICS,), (Field("BUSY", same),), Scope.INSTANCE)


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


def test_an_xid_that_can_not_be_does_not_hide_the_last_one() -> None:
    bench = Bench(Tracker.XIDS, "{profile: h100-sxm, faults: [{kind: xid, at_s: 5, code: 31}]}")
    bench.read(XID)
    bench.read(XID, after_s=6)
    events = [pynvml.c_nvmlEventData_t(eventData=0xFFFFFFFFFFFFFFFF, gpuInstanceId=0xFFFFFFFF)]
    bench.nvml.replaced["nvmlEventSetWait_v2"] = lambda *_: (
        events.pop() if events else failing(pynvml.NVML_ERROR_TIMEOUT)()
    )
    assert [answer.code for answer in bench.read(XID)] == [31]


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


def test_a_storm_of_xids_fills_no_log(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(Tracker.XIDS, "{profile: h100-sxm}")
    bench.read(XID)
    codes = [31, 43] * 200 + [94]
    bench.nvml.replaced["nvmlEventSetWait_v2"] = lambda *_: (
        pynvml.c_nvmlEventData_t(eventData=codes.pop(0), gpuInstanceId=0xFFFFFFFF)
        if codes
        else failing(pynvml.NVML_ERROR_TIMEOUT)()
    )
    assert [answer.code for answer in bench.read(XID)] == [94]
    assert [message.partition(": ")[2].split(":")[0] for message in caplog.messages] == [
        "Xid 31, 200 times",
        "Xid 43, 200 times",
        "Xid 94",
    ]


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
