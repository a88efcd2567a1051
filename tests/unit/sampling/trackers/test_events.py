from dataclasses import replace
from math import inf
from typing import Any

import pynvml
import pytest
from pynvml import NVML_GPM_METRIC_GRAPHICS_UTIL as GRAPHICS

from exporter.catalogue import catalogue
from exporter.catalogue.convert import same
from exporter.catalogue.driver_events import EVENT_NAMES, EventSource
from exporter.catalogue.reading import Field, Scope, Tracked, Tracker
from exporter.model import Reason
from exporter.nvml.events import HeardEvent
from exporter.sampling.trackers.event_history import MOST_UNKNOWN, OTHER
from tests.unit.cli.parsing import settings
from tests.unit.faulty_nvml import failing
from tests.unit.sampling.trackers.bench import Bench

XID = Tracked(Tracker.EVENTS, (EventSource.LAST_XID, 0), (Field("XID", same),))
TOTALS = Tracked(Tracker.EVENTS, (EventSource.XID_TOTALS,), (Field("TOTALS", same),))
TIMES = Tracked(Tracker.EVENTS, (EventSource.XID_TIMES,), (Field("TIMES", same),))
WITHIN = Tracked(Tracker.EVENTS, (EventSource.XIDS_WITHIN, 300_000), (Field("WITHIN", same),))
EVENTS = Tracked(Tracker.EVENTS, (EventSource.EVENTS,), (Field("EVENTS", same),))
BUSY = Tracked(Tracker.GPM, (GRAPHICS,), (Field("BUSY", same),), Scope.INSTANCE)


def test_an_interruption_takes_no_xid_away() -> None:
    bench = Bench(Tracker.EVENTS, "{profile: h100-sxm, faults: [{kind: xid, at_s: 5, code: 31}]}")
    bench.read(XID)
    bench.tracker.interrupt()
    assert [answer.code for answer in bench.read(XID, after_s=6)] == [31]


def test_of_a_gpu_that_is_gone_only_an_xid_stays() -> None:
    faults = "[{kind: xid, at_s: 5, code: 79}, {kind: lost, at_s: 5}]"
    words: list[list[Any]] = []
    for kind, reading, gpu in (
        (Tracker.EVENTS, XID, f"{{profile: h100-sxm, faults: {faults}}}"),
        (Tracker.EVENTS, XID, "{profile: h100-sxm, faults: [{kind: lost, at_s: 5}]}"),
        (Tracker.GPM, BUSY, f"{{profile: h100-sxm, faults: {faults}}}"),
    ):
        bench = Bench(kind, gpu)
        bench.read(reading)
        bench.clock.advance(6)
        words.append([observation.answer for observation in bench.tracker.last_words((reading,))])
    assert [[answer.code for answer in answers] for answers in words] == [[79], [], []]


def test_an_xid_is_0_until_one_is_heard_and_then_its_code() -> None:
    bench = Bench(Tracker.EVENTS, "{profile: h100-sxm, faults: [{kind: xid, at_s: 5, code: 31}]}")
    (none,) = bench.read(XID)
    assert (none.code, none.listening_since) == (0, bench.clock.time())
    assert [answer.code for answer in bench.read(XID, after_s=6)] == [31]
    (again,) = bench.read(XID, after_s=100)
    assert again == (31, none.listening_since)


def test_the_last_of_several_xids_counts() -> None:
    faults = "[{kind: xid, at_s: 5, code: 31}, {kind: xid, at_s: 6, code: 48}]"
    bench = Bench(Tracker.EVENTS, f"{{profile: h100-sxm, faults: {faults}}}")
    bench.read(XID)
    assert [answer.code for answer in bench.read(XID, after_s=9)] == [48]


def test_an_xid_that_can_not_be_does_not_hide_the_last_one() -> None:
    bench = Bench(Tracker.EVENTS, "{profile: h100-sxm, faults: [{kind: xid, at_s: 5, code: 31}]}")
    bench.read(XID)
    bench.read(XID, after_s=6)
    report(bench, *xids(0xFFFFFFFFFFFFFFFF))
    assert [answer.code for answer in bench.read(XID)] == [31]


def test_an_xid_of_a_gpu_instance_is_that_instances_and_any_other_is_everyones() -> None:
    gpu = "{profile: a100-sxm, mig: [3g.40gb, 3g.40gb], faults: [{kind: xid, at_s: 5, code: 94, gpu_instance: 2}, "
    bench = Bench(Tracker.EVENTS, gpu + "{kind: xid, at_s: 9, code: 79}]}")
    bench.read(XID)

    def codes(after_s: float) -> dict[int, int]:
        answers = bench.read_entities(XID, after_s=after_s)
        return {e.instance.gpu_instance_id: answer.code for e, answer in answers.items() if e.instance}

    assert codes(6) == {1: 0, 2: 94}
    assert codes(4) == {1: 79, 2: 79}


def test_a_whole_gpu_hears_the_xids_of_its_instances() -> None:
    gpu = "{profile: a100-sxm, mig: [3g.40gb], faults: [{kind: xid, at_s: 5, code: 94, gpu_instance: 1}]}"
    bench = Bench(Tracker.EVENTS, gpu, "g")
    bench.read(XID)
    assert [answer.code for answer in bench.read(XID, after_s=6)] == [94]


def test_a_driver_that_refuses_to_tell_xids_is_asked_again_and_listening_begins_then() -> None:
    bench = Bench(Tracker.EVENTS, "{profile: h100-sxm}")
    bench.nvml.replaced["nvmlDeviceRegisterEvents"] = failing(pynvml.NVML_ERROR_UNKNOWN)
    assert bench.read(XID) == [Reason.UNKNOWN]
    assert bench.nvml.calls["nvmlEventSetFree"] == bench.nvml.calls["nvmlEventSetCreate"]
    del bench.nvml.replaced["nvmlDeviceRegisterEvents"]
    (heard,) = bench.read(XID, after_s=7)
    assert heard == (0, bench.clock.time())


def report(bench: Bench, *reported: HeardEvent) -> None:
    """Let the driver report these at the next collection, and nothing after them."""
    waiting = list(reported)

    def wait(*_: Any) -> Any:
        if not waiting:
            return failing(pynvml.NVML_ERROR_TIMEOUT)()
        event_type, data, instance = waiting.pop(0)
        instance_id = 0xFFFFFFFF if instance is None else instance
        return pynvml.c_nvmlEventData_t(eventType=event_type, eventData=data, gpuInstanceId=instance_id)

    bench.nvml.replaced["nvmlEventSetWait_v2"] = wait


def xids(*codes: int) -> list[HeardEvent]:
    return [HeardEvent(pynvml.nvmlEventTypeXidCriticalError, code, None) for code in codes]


def test_a_storm_of_xids_fills_no_log(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(Tracker.EVENTS, "{profile: h100-sxm}")
    bench.read(XID)
    report(bench, *xids(*[31, 43] * 200, 94))
    assert [answer.code for answer in bench.read(XID)] == [94]
    assert [message.partition(": ")[2].split(":")[0] for message in caplog.messages] == [
        "Xid 31, 200 times",
        "Xid 43, 200 times",
        "Xid 94",
    ]


def test_a_gpu_without_xid_events_does_not_support_them() -> None:
    bench = Bench(Tracker.EVENTS, "{profile: h100-sxm}")
    bench.nvml.replaced["nvmlDeviceGetSupportedEventTypes"] = lambda _: 0
    assert bench.read(XID) == [Reason.NOT_SUPPORTED]


def test_an_xid_that_came_before_the_gpu_was_lost_is_not_forgotten() -> None:
    gpu = "{profile: h100-sxm, faults: [{kind: xid, at_s: 5, code: 79}, {kind: lost, at_s: 5, until_s: 20}]}"
    bench = Bench(Tracker.EVENTS, gpu)
    bench.read(XID)
    assert [answer.code for answer in bench.read(XID, after_s=6)] == [79]
    assert [answer.code for answer in bench.read(XID, after_s=20)] == [79]


def test_the_event_set_is_given_back_once() -> None:
    bench = Bench(Tracker.EVENTS, "{profile: h100-sxm}")
    bench.read(XID)
    bench.tracker.close()
    bench.tracker.close()
    assert bench.nvml.calls["nvmlEventSetFree"] == 1


def test_each_xid_is_counted_by_its_code_with_the_time_of_the_last() -> None:
    bench = Bench(Tracker.EVENTS, "{profile: h100-sxm}")
    assert bench.read(TOTALS, TIMES) == []
    report(bench, *xids(31, 79, 31))
    first = bench.clock.time() + 5
    assert bench.read(TOTALS, TIMES, after_s=5) == [("31", 2), ("79", 1), ("31", first), ("79", first)]
    report(bench, *xids(31))
    assert bench.read(TOTALS, TIMES, after_s=5) == [("31", 3), ("79", 1), ("31", first + 5), ("79", first)]


def test_within_the_window_xids_are_counted_by_code_and_nothing_is_a_0_of_no_code() -> None:
    bench = Bench(Tracker.EVENTS, "{profile: h100-sxm}")
    assert bench.read(WITHIN) == [("", 0)]
    report(bench, *xids(31, 31, 79))
    assert bench.read(WITHIN, after_s=1) == [("31", 2), ("79", 1)]
    assert bench.read(WITHIN, after_s=290) == [("31", 2), ("79", 1)]
    assert bench.read(WITHIN, TOTALS, after_s=10) == [("", 0), ("31", 2), ("79", 1)]


def test_the_last_xid_is_0_again_after_a_time_without_one_where_that_is_asked_for() -> None:
    reset = replace(XID, source=(EventSource.LAST_XID, 60_000))
    bench = Bench(Tracker.EVENTS, "{profile: h100-sxm}")
    bench.read(reset)
    report(bench, *xids(79))
    codes = [[answer.code for answer in bench.read(reset, XID, after_s=after_s)] for after_s in (1, 59, 1)]
    assert codes == [[79, 79], [79, 79], [0, 79]]
    report(bench, *xids(79))
    assert [answer.code for answer in bench.read(reset, after_s=1)] == [79]


def test_no_time_is_so_short_that_the_last_xid_stays() -> None:
    asked_for = catalogue(xid_reset_after_s=settings("--xid-reset-after=1us").xid_reset_after_s)
    events = (one for one in asked_for if isinstance(one, Tracked) and one.tracker is Tracker.EVENTS)
    [reset] = [one for one in events if one.source[0] == EventSource.LAST_XID]
    bench = Bench(Tracker.EVENTS, "{profile: h100-sxm}")
    bench.read(reset)
    report(bench, *xids(79))
    codes = [next(answer.code for answer in bench.read(reset, after_s=1)) for _ in range(2)]
    assert codes == [79, 0]


def test_ten_thousand_xids_at_once_are_counted_and_codes_that_nobody_knows_share_one_series() -> None:
    bench = Bench(Tracker.EVENTS, "{profile: h100-sxm}")
    bench.read(TOTALS, WITHIN)
    report(bench, *xids(*range(50_000, 59_990), 79, 999))
    total, within = ({tally.what: tally.value for tally in bench.read(reading)} for reading in (TOTALS, WITHIN))
    assert total == within
    assert (len(total), sum(total.values()), total["79"]) == (MOST_UNKNOWN + 2, 9_992, 1)
    assert total[OTHER] == 9_991 - MOST_UNKNOWN
    assert len(bench.read(TIMES)) == MOST_UNKNOWN + 2


def test_events_of_every_type_are_counted() -> None:
    bench = Bench(Tracker.EVENTS, "{profile: h100-sxm}")
    assert bench.read(EVENTS) == []
    report(bench, *(HeardEvent(one, 0, None) for one in (*EVENT_NAMES, pynvml.nvmlEventTypeClock)))
    counted = {tally.what: tally.value for tally in bench.read(EVENTS)}
    assert counted == dict.fromkeys(EVENT_NAMES.values(), 1) | {"clock": 2}


def test_a_type_that_the_gpu_does_not_have_is_not_asked_for() -> None:
    bench = Bench(Tracker.EVENTS, "{profile: h100-sxm}")
    xid_and_ecc = pynvml.nvmlEventTypeXidCriticalError | pynvml.nvmlEventTypeDoubleBitEccError
    asked: list[int] = []
    bench.nvml.replaced |= {
        "nvmlDeviceGetSupportedEventTypes": lambda _: xid_and_ecc | 1 << 40,
        "nvmlDeviceRegisterEvents": lambda _, types, __: asked.append(types),
    }
    assert bench.read(EVENTS) == []
    assert asked == [xid_and_ecc]


def test_a_type_that_the_driver_refuses_costs_that_type_alone() -> None:
    bench = Bench(Tracker.EVENTS, "{profile: h100-sxm, faults: [{kind: xid, at_s: 5, code: 31}]}")
    register = bench.nvml.nvmlDeviceRegisterEvents

    def refuse_clocks(handle: Any, types: int, event_set: Any) -> None:
        if types & pynvml.nvmlEventTypeClock:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NO_PERMISSION)
        register(handle, types, event_set)

    bench.nvml.replaced["nvmlDeviceRegisterEvents"] = refuse_clocks
    assert bench.read(EVENTS) == [Reason.NOT_PERMITTED]
    assert bench.nvml.calls["nvmlEventSetCreate"] - bench.nvml.calls["nvmlEventSetFree"] == 1
    asked = bench.nvml.calls["nvmlDeviceRegisterEvents"]
    assert bench.read(TOTALS, after_s=6) == [("31", 1)]
    assert bench.nvml.calls["nvmlDeviceRegisterEvents"] == asked, "it is not asked again and again"


def test_where_types_are_refused_together_but_none_alone_xids_alone_are_heard() -> None:
    bench = Bench(Tracker.EVENTS, "{profile: h100-sxm, faults: [{kind: xid, at_s: 5, code: 31}]}")
    register = bench.nvml.nvmlDeviceRegisterEvents

    def refuse_many(handle: Any, types: int, event_set: Any) -> None:
        if types.bit_count() > 1:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_UNKNOWN)
        register(handle, types, event_set)

    bench.nvml.replaced["nvmlDeviceRegisterEvents"] = refuse_many
    assert bench.read(EVENTS) == [Reason.UNKNOWN]
    assert [answer.code for answer in bench.read(XID)] == [0]
    assert [answer.code for answer in bench.read(XID, after_s=6)] == [31]


def test_where_types_are_refused_in_the_end_no_xid_is_not_held_to_be_none() -> None:
    bench = Bench(Tracker.EVENTS, "{profile: h100-sxm, faults: [{kind: xid, at_s: 5, code: 31}]}")
    register = bench.nvml.nvmlDeviceRegisterEvents
    heard: set[int] = set()

    def refuse_again(handle: Any, types: int, event_set: Any) -> None:
        if types.bit_count() > 1 or types in heard:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_UNKNOWN)
        heard.add(types)
        register(handle, types, event_set)

    bench.nvml.replaced["nvmlDeviceRegisterEvents"] = refuse_again
    assert bench.read(XID) == [Reason.UNKNOWN]
    del bench.nvml.replaced["nvmlDeviceRegisterEvents"]
    assert [answer.code for answer in bench.read(XID)] == [0]
    assert [answer.code for answer in bench.read(XID, after_s=6)] == [31]


@pytest.mark.parametrize("change", [pynvml.nvmlEventMigConfigChange, pynvml.nvmlEventTypeGpuRecoveryAction])
def test_a_change_that_the_driver_tells_of_makes_the_gpu_be_looked_at_once(change: int) -> None:
    bench = Bench(Tracker.EVENTS, "{profile: h100-sxm}")
    bench.read(EVENTS)
    assert not bench.tracker.found_change()
    report(bench, *xids(31), HeardEvent(change, 0, None))
    bench.tracker.keep_up()
    assert [bench.tracker.found_change(), bench.tracker.found_change()] == [True, False]


def test_what_a_gpu_that_is_gone_leaves_is_true_until_a_window_ends() -> None:
    bench = Bench(Tracker.EVENTS, "{profile: h100-sxm}")
    reset = replace(XID, source=(EventSource.LAST_XID, 60_000))
    bench.read(XID, reset, WITHIN, TOTALS)
    report(bench, *xids(79))
    now = bench.clock.monotonic()
    words = bench.tracker.last_words((XID, reset, WITHIN, TOTALS, EVENTS))
    assert [(word.answer[0], word.until) for word in words] == [
        (79, inf),
        (79, now + 60),
        ("79", now + 300),
        ("79", inf),
    ]
