import logging
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from exporter.attribution.owners import PodMeta
from exporter.attribution.pod_labels import PodLabels
from exporter.attribution.pod_metadata import pods_of
from exporter.kube import OwnNode, Pace, Watch
from tests.unit.fake_api_server import FakeApiServer
from tests.unit.fake_clock import FakeClock
from tests.waiting import until

ROOT = Path(__file__).parents[3]
FAST = Pace(first_s=0.01, longest_s=0.05)


@contextmanager
def watching(api: FakeApiServer, labels: PodLabels | None = None) -> Iterator[Watch[PodMeta]]:
    pods = Watch(pods_of(OwnNode("gpu-1"), labels), api.connect, FakeClock(), FAST)
    pods.start()
    try:
        yield pods
    finally:
        pods.stop()


def test_uid_and_labels_are_known_by_namespace_and_name(api: FakeApiServer) -> None:
    api.put("llm-0", "team-a", {"app": "llm"})
    api.put("llm-0", "team-b")
    with watching(api, PodLabels()) as pods:
        until(lambda: pods.is_current)
        assert pods.latest() == {
            ("team-a", "llm-0"): PodMeta("uid-llm-0", (("app", "llm"),)),
            ("team-b", "llm-0"): PodMeta("uid-llm-0"),
        }


def test_labels_that_were_not_asked_for_are_not_kept(api: FakeApiServer) -> None:
    api.put("a", labels={"app": "llm"})
    with watching(api) as pods:
        until(lambda: pods.latest() == {("default", "a"): PodMeta("uid-a")})


def test_labels_are_chosen_and_renamed(api: FakeApiServer) -> None:
    api.put("a", labels={"app.kubernetes.io/name": "llm", "team": "x", "app.pod": "y", "managedFields": "z"})
    with watching(api, PodLabels(["^app", "^managed"])) as pods:
        labels = (("app_kubernetes_io_name", "llm"), ("app_pod", "y"), ("managedFields", "z"))
        until(lambda: pods.latest() == {("default", "a"): PodMeta("uid-a", labels)})


def test_a_pod_that_is_made_anew_has_its_new_uid_and_labels(api: FakeApiServer) -> None:
    api.put("db-0", labels={"version": "1"})
    with watching(api, PodLabels()) as pods:
        until(lambda: pods.is_current)
        api.delete("db-0")
        until(lambda: pods.latest() == {})
        api.put("db-0", labels={"version": "2"})
        until(lambda: pods.latest() == {("default", "db-0"): PodMeta("uid-db-0", (("version", "2"),))})


def test_only_this_nodes_pods_that_have_not_ended_are_asked_for(api: FakeApiServer) -> None:
    with watching(api):
        until(lambda: len(api.requests) >= 2)
    for request in api.requests:
        assert request.path == "/api/v1/pods"
        assert request.query["fieldSelector"] == "spec.nodeName=gpu-1,status.phase!=Succeeded,status.phase!=Failed"
        assert "PartialObjectMetadata" in request.accept


def test_before_the_first_answer_nothing_is_known(api: FakeApiServer) -> None:
    api.down()
    with watching(api) as pods:
        until(lambda: pods.failing_since is not None)
        assert pods.latest() is None
        assert not pods.is_current
        api.up()
        until(lambda: pods.is_current)
        assert pods.latest() == {}
        assert pods.failing_since is None


def test_while_the_api_server_is_away_the_last_pods_stay_but_are_not_current(api: FakeApiServer) -> None:
    api.put("a")
    with watching(api) as pods:
        until(lambda: pods.is_current)
        api.down()
        until(lambda: not pods.is_current)
        assert pods.latest() == {("default", "a"): PodMeta("uid-a")}


def test_five_hundred_pods_that_change_cost_one_list_and_one_watch(api: FakeApiServer) -> None:
    for number in range(500):
        api.put(f"pod-{number}", labels={"app": "llm", "n": str(number)})
    with watching(api, PodLabels()) as pods:
        until(lambda: pods.is_current)
        for number in range(500):
            api.put(f"pod-{number}", labels={"app": "llm", "n": "changed"})
        until(lambda: all(pod.labels[1][1] == "changed" for pod in (pods.latest() or {}).values()))
        assert len(pods.latest() or {}) == 500
    assert [request.kind for request in api.requests] == ["list", "watch"]


def test_without_the_right_the_log_says_so_once(api: FakeApiServer, caplog: pytest.LogCaptureFixture) -> None:
    api.refusals = {"list": 403, "watch": 403}
    with watching(api) as pods:
        until(lambda: len(api.requests) >= 3)
        assert pods.latest() is None
    (warning,) = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert warning.startswith("pods on node gpu-1: the API server answered 403 ")
    assert warning.endswith("grant the service account list and watch on pods")


def test_the_client_library_is_not_loaded_before_the_watch_begins() -> None:
    code = "import sys, exporter.attribution.pod_metadata; sys.exit('kubernetes' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
