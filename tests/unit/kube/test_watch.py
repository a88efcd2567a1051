import json
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from exporter.kube import ApiServer, Key, Pace, Resource, Watch
from exporter.kube.connection import LONGEST_LINE, MOST_BYTES
from exporter.kube.resources import MOST_OBJECTS
from exporter.model import Clock
from tests.unit.fake_api_server import TOO_OLD, End, FakeApiServer, event
from tests.unit.fake_clock import FakeClock
from tests.waiting import until

FAST = Pace(first_s=0.01, longest_s=0.05, longest_without_right_s=0.1)
MEBIBYTE = 1 << 20
BOOKMARK = b'{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"150"}}}'
BROKEN = End(b'{"type":"ADDED","object":{"metadata":{"na', is_clean=False)


def label(entry: Any) -> str | None:
    """Keep an object's label x; objects with the label ignored are of no use."""
    labels = entry["metadata"].get("labels") or {}
    return None if "ignored" in labels else str(labels.get("x", ""))


SELECTOR = "spec.nodeName=n1,status.phase!=Failed"
PODS = Resource("pods on node n1", "", ("v1",), "pods", lambda _: SELECTOR, True, label)  # noqa: FBT003


class Followed:
    """A watch, and how often it has connected."""

    def __init__(self, api: FakeApiServer, clock: Clock, pace: Pace = FAST, resource: Resource[str] = PODS) -> None:
        self.attempts = 0
        self._api = api
        self.watch = Watch(resource, self._connect, clock, pace)

    def _connect(self) -> ApiServer:
        self.attempts += 1
        return self._api.connect()

    @property
    def names(self) -> dict[str, str]:
        return {name: item for (_, name), item in (self.watch.latest() or {}).items()}


@contextmanager
def following(
    api: FakeApiServer, clock: Clock = time, pace: Pace = FAST, resource: Resource[str] = PODS
) -> Iterator[Followed]:
    followed = Followed(api, clock, pace, resource)
    followed.watch.start()
    try:
        yield followed
    finally:
        followed.watch.stop()


def warnings(caplog: pytest.LogCaptureFixture, level: int = logging.WARNING) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name.startswith("exporter") and r.levelno == level]


def test_objects_are_listed_and_then_followed(api: FakeApiServer) -> None:
    api.put("a", labels={"x": "1"})
    with following(api) as followed:
        until(lambda: followed.names == {"a": "1"})
        api.put("b", "other")
        api.put("a", labels={"x": "2"})
        until(lambda: followed.names == {"a": "2", "b": ""})
        assert set(followed.watch.latest() or {}) == {("default", "a"), ("other", "b")}
        api.delete("b", "other")
        until(lambda: followed.names == {"a": "2"})
        assert followed.watch.is_current


def test_steady_state_is_one_watch(api: FakeApiServer) -> None:
    api.put("a")
    with following(api) as followed:
        for step in range(50):
            api.put("a", labels={"x": str(step)})
            until(lambda step=step: followed.names == {"a": str(step)})  # type: ignore[misc]
    assert [request.kind for request in api.requests] == ["list", "watch"]


def test_only_metadata_of_the_selected_objects_is_asked_for(api: FakeApiServer) -> None:
    with following(api):
        until(lambda: bool(api.asked("watch")))
    listed, watched = api.requests
    assert listed.path == watched.path == "/api/v1/pods"
    assert listed.accept == "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
    assert watched.accept == "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
    assert listed.query["fieldSelector"] == watched.query["fieldSelector"] == SELECTOR
    assert listed.query["resourceVersion"] == "0", "the API server's cache will do"
    assert watched.query["resourceVersion"] == "100"
    assert watched.query["allowWatchBookmarks"] == "true"
    assert 300 <= int(watched.query["timeoutSeconds"]) <= 600


def test_a_long_list_comes_in_pages(api: FakeApiServer) -> None:
    meanwhile: list[Mapping[Key, str] | None] = []

    def parse(entry: Any) -> str | None:
        meanwhile.append(followed.watch.latest())
        return label(entry)

    api.page = 2
    for name in "abcde":
        api.put(name)
    followed = Followed(api, time, resource=replace(PODS, parse=parse))
    followed.watch.start()
    try:
        until(lambda: set(followed.names) == set("abcde"))
    finally:
        followed.watch.stop()
    assert [request.query.get("continue") for request in api.asked("list")] == [None, "2", "4"]
    assert meanwhile == [None] * 5, "half a list is none"


def test_what_a_reader_has_does_not_change_afterwards(api: FakeApiServer) -> None:
    api.put("a")
    with following(api) as followed:
        until(lambda: "a" in followed.names)
        before = followed.watch.latest() or {}
        api.put("b")
        until(lambda: "b" in followed.names)
    assert set(before) == {("default", "a")}
    with pytest.raises(TypeError):
        before["default", "c"] = "x"  # type: ignore[index]


def test_a_change_of_nothing_that_is_kept_changes_nothing(api: FakeApiServer) -> None:
    api.put("a", labels={"x": "1"})
    with following(api) as followed:
        until(lambda: bool(api.asked("watch")))
        before = followed.watch.latest()
        api.put("a", labels={"x": "1", "y": "2"})
        end_after_bookmark(api)
        assert followed.watch.latest() is before


def test_an_object_that_is_of_no_use_any_more_is_left_out(api: FakeApiServer) -> None:
    api.put("useless", labels={"ignored": ""})
    api.put("a")
    with following(api) as followed:
        until(lambda: set(followed.names) == {"a"})
        api.put("a", labels={"ignored": ""})
        until(lambda: followed.names == {})
        api.delete("useless")
        api.put("b")
        until(lambda: set(followed.names) == {"b"})


@pytest.mark.parametrize("end", [End(), BROKEN], ids=["at its time", "in the middle of a line"])
def test_a_watch_that_ends_goes_on_where_it_was(api: FakeApiServer, caplog: pytest.LogCaptureFixture, end: End) -> None:
    with following(api) as followed:
        api.put("a")
        until(lambda: "a" in followed.names)
        api.end_watch(end)
        until(lambda: len(api.asked("watch")) >= 2)
        api.put("b")
        until(lambda: set(followed.names) == {"a", "b"})
        assert followed.watch.is_current
    assert len(api.asked("list")) == 1
    assert api.asked("watch")[1].query["resourceVersion"] == "101"
    assert warnings(caplog) == []


def end_after_bookmark(api: FakeApiServer) -> None:
    """Give a bookmark, end the watch, and wait until it goes on from there."""
    watches = len(api.asked("watch"))
    version = api.bookmark()
    api.end_watch(End())
    until(lambda: len(api.asked("watch")) > watches)
    assert api.asked("watch")[-1].query["resourceVersion"] == version


def test_a_bookmark_moves_the_point_from_which_a_watch_goes_on(api: FakeApiServer) -> None:
    with following(api) as followed:
        until(lambda: bool(api.asked("watch")))
        before = followed.watch.latest()
        end_after_bookmark(api)
        assert followed.watch.latest() is before


def test_a_version_that_is_gone_leads_to_a_new_list(api: FakeApiServer, caplog: pytest.LogCaptureFixture) -> None:
    api.put("gone")
    with following(api) as followed:
        until(lambda: "gone" in followed.names)
        version = api.bookmark()
        api.end_watch(End())
        until(lambda: len(api.asked("watch")) >= 2)
        api.refusals["watch"] = 503
        api.end_watch(End())
        until(lambda: not followed.watch.is_current)
        api.delete("gone")
        api.put("new")
        api.forget()
        api.refusals.clear()
        until(lambda: set(followed.names) == {"new"} and followed.watch.is_current)
    assert [request.query.get("resourceVersion") for request in api.asked("list")] == ["0", version]
    assert api.asked("list")[1].query["resourceVersionMatch"] == "NotOlderThan"
    assert len(warnings(caplog)) == 1, "503, and not a word of 410"


def test_a_version_that_is_gone_by_status_leads_to_a_new_list(api: FakeApiServer) -> None:
    with following(api) as followed:
        until(lambda: followed.watch.is_current)
        api.refusals["watch"] = 410
        api.end_watch(End())
        until(lambda: len(api.asked("list")) > 1)
        api.refusals.clear()
        api.put("a")
        until(lambda: "a" in followed.names)


def test_a_list_whose_version_is_gone_at_once_asks_for_the_newest(api: FakeApiServer) -> None:
    api.ends = [TOO_OLD]
    with following(api):
        until(lambda: len(api.asked("watch")) >= 2)
    assert [request.query.get("resourceVersion") for request in api.asked("list")] == ["0", None]


@pytest.mark.parametrize("end", [TOO_OLD, End(), BROKEN], ids=["gone", "ended", "broken"])
def test_watches_that_end_at_once_make_no_storm(api: FakeApiServer, end: End) -> None:
    api.ends = [end] * 1000
    with following(api, pace=Pace(first_s=60.0, longest_s=60.0)) as followed:
        until(lambda: len(api.ends) < 1000)
        threading.Event().wait(0.1)  # time for a storm
        assert followed.watch.failing_since is None
    assert [request.kind for request in api.requests] == ["list", "watch"]


def test_a_watch_that_told_nothing_for_long_is_followed_by_another_at_once(api: FakeApiServer) -> None:
    with following(api, pace=Pace(first_s=60.0, longest_s=60.0, fruitful_s=0.05)):
        for number in (1, 2, 3):
            until(lambda number=number: len(api.asked("watch")) == number)  # type: ignore[misc]
            threading.Event().wait(0.1)  # long, by this pace
            api.end_watch(End())


def test_when_the_api_server_said_something_last_is_known(api: FakeApiServer) -> None:
    clock = FakeClock(now=100.0)
    with following(api, clock) as followed:
        assert followed.watch.heard_at in {None, 100.0}
        until(lambda: bool(api.asked("watch")))
        assert followed.watch.heard_at == 100.0, "the list"
        clock.advance(10.0)
        api.put("a")
        until(lambda: followed.watch.heard_at == 110.0)
        clock.advance(10.0)
        api.bookmark()
        until(lambda: followed.watch.heard_at == 120.0)
        clock.advance(10.0)
        end_after_bookmark(api)
        clock.advance(10.0)
        api.down()
        until(lambda: followed.watch.failing_since is not None)
        assert followed.watch.heard_at == 130.0


def test_a_watch_that_brings_no_more_bookmarks_is_stale_and_begins_anew(
    api: FakeApiServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with following(api, pace=Pace(first_s=2.0, silence_s=0.2)) as followed:
        until(lambda: bool(api.asked("watch")))
        api.bookmark()
        until(lambda: followed.watch.failing_since is not None)
        assert not followed.watch.is_current
        assert followed.attempts == 1
        until(lambda: followed.watch.is_current)
        assert followed.attempts == 2, "by another connection"
        api.put("a")
        until(lambda: "a" in followed.names)
    assert len(api.asked("list")) == 1, "it goes on where it was"
    (warning,) = warnings(caplog)
    assert warning == (
        "pods on node n1: the watch received nothing for 0 s, not even bookmarks: the connection is dead"
        " and is replaced"
    )
    assert len(warnings(caplog, logging.INFO)) == 1, "and when it works again"


def test_without_bookmarks_silence_is_no_failure_and_a_new_list_tells_what_was_missed(
    api: FakeApiServer, caplog: pytest.LogCaptureFixture
) -> None:
    api.put("a")
    api.put("b")
    with following(api, pace=Pace(silence_s=0.1, relist_s=0.3)) as followed:
        until(lambda: set(followed.names) == {"a", "b"})
        api.lose(lambda: api.delete("a"))
        until(lambda: set(followed.names) == {"b"})
        assert followed.watch.failing_since is None
    assert warnings(caplog) == []
    assert len(api.asked("watch")) > len(api.asked("list")) > 1


def test_events_without_a_bookmark_do_not_put_the_new_list_off(api: FakeApiServer) -> None:
    with following(api, pace=Pace(relist_s=0.0)):
        until(lambda: bool(api.asked("watch")))
        api.put("a")
        until(lambda: len(api.asked("list")) == 2)


def test_whoever_gives_bookmarks_is_asked_for_no_second_list(api: FakeApiServer) -> None:
    with following(api, pace=Pace(relist_s=0.0)):
        until(lambda: bool(api.asked("watch")))
        end_after_bookmark(api)
    assert len(api.asked("list")) == 1


def test_a_refusal_that_lasts_is_tried_more_and_more_seldom(api: FakeApiServer) -> None:
    api.refusals["list"] = 403
    with following(api, pace=Pace(first_s=0.01, longest_s=0.01, longest_without_right_s=60.0)):
        until(lambda: len(api.requests) > 2)
        threading.Event().wait(0.4)
        assert len(api.requests) < 10, "the pauses add up to 0.4 s after six at the latest"


def test_each_outage_begins_with_short_pauses(api: FakeApiServer, caplog: pytest.LogCaptureFixture) -> None:
    outages = 16  # the pauses would come to more than half a minute if they only grew
    with following(api, pace=Pace(first_s=0.001, longest_s=60.0)) as followed:
        for number in range(outages):
            until(lambda: followed.watch.is_current)
            api.refusals["watch"] = 503
            api.put(str(number))
            api.end_watch(End())
            until(lambda: not followed.watch.is_current)
            api.refusals.clear()
        until(lambda: followed.watch.is_current)
    assert len(warnings(caplog)) == outages, "each is logged"


@pytest.mark.parametrize("status", [410, 504])
def test_a_list_of_a_version_that_the_api_server_lacks_asks_for_the_newest(api: FakeApiServer, status: int) -> None:
    api.refusals["list"] = status
    with following(api) as followed:
        until(lambda: len(api.requests) >= 2)
        api.refusals.clear()
        until(lambda: followed.watch.is_current)
    assert [request.query.get("resourceVersion") for request in api.asked("list")[:2]] == ["0", None]


def test_an_api_server_that_is_down_at_start_is_waited_for(
    api: FakeApiServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    clock = FakeClock()
    api.down()
    with following(api, clock) as followed:
        until(lambda: followed.watch.failing_since == clock.wall)
        began = clock.wall
        assert followed.watch.latest() is None
        assert not followed.watch.is_current
        clock.advance(120.0)
        api.up()
        api.put("a")
        until(lambda: "a" in followed.names and followed.watch.is_current)
        assert followed.watch.failing_since is None
    (warning,) = warnings(caplog)
    assert warning.startswith("pods on node n1: http://127.0.0.1:")
    assert "Connection refused" in warning
    assert began == 1_800_000_000.0
    assert warnings(caplog, logging.INFO) == ["pods on node n1: the API server answers again after 120 s"]


def test_an_outage_of_an_hour_loses_nothing(api: FakeApiServer, caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    api.put("a", labels={"x": "1"})
    with following(api, clock) as followed:
        until(lambda: followed.watch.is_current)
        began = clock.wall
        api.down()
        until(lambda: followed.watch.failing_since is not None)
        for _ in range(10):
            clock.advance(360.0)
            attempts = followed.attempts
            until(lambda attempts=attempts: followed.attempts > attempts + 1)  # type: ignore[misc]
            assert followed.names == {"a": "1"}
            assert followed.watch.failing_since == began
            assert not followed.watch.is_current
        api.put("b", labels={"x": "2"})
        api.up()
        until(lambda: followed.names == {"a": "1", "b": "2"})
        until(lambda: followed.watch.is_current)
    assert len(api.asked("list")) == 1, "the watch goes on"
    assert len(warnings(caplog)) == 1


def test_a_missing_right_is_named_once(api: FakeApiServer, caplog: pytest.LogCaptureFixture) -> None:
    api.refusals["list"] = 403
    with following(api) as followed:
        until(lambda: len(api.requests) >= 4)
        assert followed.watch.latest() is None
        api.refusals.clear()
        until(lambda: followed.watch.is_current)
    (warning,) = warnings(caplog)
    assert warning.startswith("pods on node n1: the API server answered 403 Forbidden: no list for you;")
    assert warning.endswith("; grant the service account list and watch on pods")


def test_a_right_to_list_alone_is_not_enough(api: FakeApiServer, caplog: pytest.LogCaptureFixture) -> None:
    api.refusals["watch"] = 403
    api.put("a")
    with following(api) as followed:
        until(lambda: len(api.asked("watch")) >= 3)
        assert "a" in followed.names
        assert not followed.watch.is_current
    assert len(warnings(caplog)) == 1
    assert "no watch for you; grant" in warnings(caplog)[0]


def test_each_kind_of_failure_is_logged_once(api: FakeApiServer, caplog: pytest.LogCaptureFixture) -> None:
    with following(api):
        for status in (503, 429, 503, 429, 401, 503):
            asked = len(api.requests)
            api.refusals = {"list": status, "watch": status}
            api.end_watch(End())
            until(lambda asked=asked: len(api.requests) > asked + 1)  # type: ignore[misc]
    told = [status for status in (401, 429, 503) for line in warnings(caplog) if f"answered {status} " in line]
    assert told == [401, 429, 503]


def test_without_any_configuration_the_watch_waits_for_one(
    api: FakeApiServer, caplog: pytest.LogCaptureFixture
) -> None:
    kubeconfig = api.kubeconfig.read_text()
    api.kubeconfig.unlink()
    with following(api) as followed:
        until(lambda: followed.watch.failing_since is not None)
        api.kubeconfig.write_text(kubeconfig)
        until(lambda: followed.watch.is_current)
    (warning,) = warnings(caplog)
    assert warning.startswith("pods on node n1: can't use the kubeconfig: ")


GARBAGE = [b"<html>\n", b"{}\n", b"[]\n", b"null\n", b'{"type":"ADDED","object":{"metadata":{}}}\n', b'"\xff"\n', b"\n"]


@pytest.mark.parametrize("line", GARBAGE)
def test_a_line_that_is_no_event_is_a_failure(
    api: FakeApiServer, caplog: pytest.LogCaptureFixture, line: bytes
) -> None:
    with following(api) as followed:
        until(lambda: followed.watch.is_current)
        api.end_watch(End(line))
        until(lambda: len(warnings(caplog)) >= 1)
        api.put("a")
        until(lambda: "a" in followed.names)
    assert "did not answer like an API server" in warnings(caplog)[0]


@pytest.mark.parametrize("answer", ["<html>", "[]", "{}", '{"metadata":{"resourceVersion":"1"},"items":[{}]}', ""])
def test_an_answer_that_is_no_list_is_a_failure(
    api: FakeApiServer, caplog: pytest.LogCaptureFixture, answer: str
) -> None:
    api.answers["list"] = answer.encode()
    with following(api) as followed:
        until(lambda: followed.watch.failing_since is not None)
        api.answers.clear()
        until(lambda: followed.watch.is_current)
    assert "did not answer like an API server" in warnings(caplog)[0]


def test_an_answer_without_an_end_is_a_failure(api: FakeApiServer, caplog: pytest.LogCaptureFixture) -> None:
    api.answers["list"] = b'{"metadata":{"resourceVersion":"1"},"items":[]}' + b" " * MOST_BYTES
    with following(api) as followed:
        until(lambda: followed.watch.failing_since is not None)
        api.answers.clear()
        until(lambda: followed.watch.is_current)
        api.end_watch(End(BOOKMARK + b" " * (LONGEST_LINE + MEBIBYTE) + b"\n"))
        until(lambda: len(warnings(caplog)) >= 2)
        until(lambda: followed.watch.is_current)
    assert "answered with more than 32 MiB" in warnings(caplog)[0]
    assert "did not answer like an API server" in warnings(caplog)[1]


def test_a_list_that_is_too_large_for_one_answer_comes_in_small_pages(
    api: FakeApiServer, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(25):
        api.put(f"pod-{number}", labels={"x": "a", "bulk": "v" * (MOST_BYTES // 20)})
    with following(api) as followed:
        until(lambda: len(followed.names) == 25)
        until(lambda: followed.watch.is_current)
    assert [(request.query["limit"], request.query.get("continue")) for request in api.asked("list")] == [
        ("500", None),
        ("10", None),
        ("10", "10"),
        ("10", "20"),
    ]
    assert warnings(caplog) == []


@pytest.mark.parametrize("kind", ["status", "stream"])
def test_an_endless_message_of_the_api_server_makes_no_endless_line(
    api: FakeApiServer, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    message = "x" * 50_000
    if kind == "status":
        api.refusals["watch"], api.refusal = 403, message
    else:
        api.ends = [End(event("ERROR", {"kind": "Status", "code": 500, "message": message}))]
    with following(api):
        until(lambda: len(warnings(caplog)) == 1)
    assert "xxx" in warnings(caplog)[0]
    assert len(warnings(caplog)[0]) < 1000


def test_a_list_without_an_end_is_a_failure(api: FakeApiServer, caplog: pytest.LogCaptureFixture) -> None:
    page = {"metadata": {"resourceVersion": "1", "continue": "again"}, "items": [{"metadata": {"name": "a"}}] * 500}
    api.answers["list"] = json.dumps(page).encode()
    with following(api) as followed:
        until(lambda: len(warnings(caplog)) == 1)
        assert followed.watch.latest() is None
    assert f"lists more than {MOST_OBJECTS} objects" in warnings(caplog)[0]


def test_an_error_in_the_stream_is_a_failure(api: FakeApiServer, caplog: pytest.LogCaptureFixture) -> None:
    status = {"kind": "Status", "code": 500, "message": "etcd\nis gone"}
    api.ends = [End(json.dumps({"type": "ERROR", "object": status}).encode() + b"\n")]
    with following(api) as followed:
        until(lambda: len(api.asked("watch")) >= 2)
        until(lambda: followed.watch.is_current)
    assert warnings(caplog) == ["pods on node n1: the API server ended the watch with 500: etcd is gone"]


@pytest.mark.parametrize("state", ["watching", "down", "refused"])
def test_a_watch_stops_at_once(api: FakeApiServer, state: str) -> None:
    if state == "down":
        api.down()
    if state == "refused":
        api.refusals["list"] = 403
    with following(api, pace=Pace(first_s=60.0, longest_s=60.0)) as followed:
        until(lambda: followed.watch.is_current or followed.watch.failing_since is not None)
        followed.watch.stop()
        assert not [thread for thread in threading.enumerate() if thread.name == "watch pods"]
        asked = len(api.requests)
        api.down()
        api.up()
    assert len(api.requests) == asked


@pytest.mark.parametrize("refusals", [{}, {"watch": 503}], ids=["answered", "refused"])
def test_a_watch_that_is_stopped_while_it_is_opened_ends_with_the_answer(
    api: FakeApiServer, caplog: pytest.LogCaptureFixture, refusals: dict[str, int]
) -> None:
    api.held = "watch"
    api.refusals = refusals
    with following(api) as followed:
        until(lambda: bool(api.asked("watch")))
        followed.watch.stop()
        api.let_go()
        until(lambda: not [thread for thread in threading.enumerate() if thread.name == "watch pods"])
    assert warnings(caplog) == []


def test_a_watch_that_was_never_started_can_be_stopped(api: FakeApiServer) -> None:
    Followed(api, time).watch.stop()
    assert api.requests == []
