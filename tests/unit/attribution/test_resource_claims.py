import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from exporter.attribution.resource_claims import ResourceClaims
from exporter.kube import Key, Pace
from tests.unit.fake_api_server import FakeApiServer
from tests.unit.fake_clock import FakeClock
from tests.waiting import until

GROUP = "resource.k8s.io"
OWNER, WATCHER = ("team-a", "owner"), ("mon", "watcher")
RETRY = Pace(first_s=10.0, longest_s=10.0)


class Listed:
    """The claims that kubelet lists, and what is read of them."""

    def __init__(self, api: FakeApiServer, *claims: Key) -> None:
        self.listed = set(claims)
        self.clock = FakeClock()
        self.claims = ResourceClaims(api.connect, lambda: self.listed, self.clock, RETRY)

    def look(self) -> dict[Key, frozenset[tuple[str, str]]]:
        self.claims.look()
        return dict(self.claims.latest())


def put(api: FakeApiServer, claim: Key, *results: dict[str, Any]) -> None:
    namespace, name = claim
    api.put(name, namespace, status={"allocation": {"devices": {"results": list(results)}}})


def result(device: str, **more: Any) -> dict[str, Any]:
    return {"driver": "gpu.nvidia.com", "pool": "node-1", "device": device, "request": "gpu", **more}


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@contextmanager
def running(listed: Listed) -> Iterator[None]:
    listed.claims.start()
    try:
        yield
    finally:
        listed.claims.stop()


@pytest.mark.parametrize("version", ["v1", "v1beta2", "v1beta1"])
def test_devices_that_a_claim_only_looks_at_are_known(api: FakeApiServer, version: str) -> None:
    api.groups[GROUP] = [version]
    put(api, OWNER, result("gpu-0"), result("gpu-1", adminAccess=False))
    put(api, WATCHER, result("gpu-0", adminAccess=True), result("gpu-1", adminAccess=True, driver="other.example.com"))
    listed = Listed(api, OWNER, WATCHER)
    assert listed.claims.latest() == {}
    with running(listed):
        until(lambda: listed.claims.latest().keys() == {OWNER, WATCHER})
    assert listed.claims.latest() == {OWNER: frozenset(), WATCHER: {("node-1", "gpu-0")}}
    assert [request.path for request in api.requests[1:]] == [
        f"/apis/{GROUP}/{version}/namespaces/mon/resourceclaims/watcher",
        f"/apis/{GROUP}/{version}/namespaces/team-a/resourceclaims/owner",
    ]


def test_each_claim_is_asked_for_once_while_kubelet_lists_it(api: FakeApiServer) -> None:
    api.groups[GROUP] = ["v1"]
    put(api, OWNER, result("gpu-0"))
    listed = Listed(api, OWNER)
    for _ in range(3):
        assert listed.look() == {OWNER: frozenset()}
    assert len(api.asked("object")) == 1
    listed.listed.clear()
    assert listed.look() == {}
    put(api, OWNER, result("gpu-0", adminAccess=True))
    listed.listed.add(OWNER)
    assert listed.look() == {OWNER: {("node-1", "gpu-0")}}


def test_nothing_is_asked_while_no_claim_is_listed(api: FakeApiServer) -> None:
    assert Listed(api).look() == {}
    assert api.requests == []


def test_claim_that_can_not_be_read_counts_as_most_do_and_is_asked_for_again(
    api: FakeApiServer, caplog: pytest.LogCaptureFixture
) -> None:
    api.groups[GROUP] = ["v1"]
    put(api, WATCHER, result("gpu-0", adminAccess=True))
    listed = Listed(api, WATCHER)
    api.refusals["object"] = 403
    for _ in range(3):
        assert listed.look() == {WATCHER: frozenset()}
        assert not listed.claims.is_current
    assert len(api.asked("object")) == 1, "no storm"
    (warning,) = warnings(caplog)
    assert "answered 403 Forbidden" in warning
    assert warning.endswith("grant the service account get on resourceclaims of API group resource.k8s.io")
    listed.clock.advance(10.0)
    listed.look()
    api.refusals.clear()
    listed.clock.advance(10.0)
    assert listed.look() == {WATCHER: {("node-1", "gpu-0")}}
    assert listed.claims.is_current
    assert len(warnings(caplog)) == 1


def test_claim_that_is_gone_before_it_was_read_is_no_trouble(
    api: FakeApiServer, caplog: pytest.LogCaptureFixture
) -> None:
    api.groups[GROUP] = ["v1"]
    put(api, WATCHER, result("gpu-0", adminAccess=True))
    listed = Listed(api, OWNER, WATCHER)
    assert listed.look() == {OWNER: frozenset(), WATCHER: {("node-1", "gpu-0")}}
    assert listed.claims.is_current
    assert warnings(caplog) == []


def test_trouble_with_a_claim_that_is_listed_no_more_is_over(api: FakeApiServer) -> None:
    api.groups[GROUP] = ["v1"]
    api.refusals["object"] = 503
    listed = Listed(api, OWNER)
    listed.look()
    assert not listed.claims.is_current
    listed.listed.clear()
    assert listed.look() == {}
    assert listed.claims.is_current


def test_without_the_api_or_an_api_server_claims_count_as_most_do(api: FakeApiServer) -> None:
    api.groups[GROUP] = ["v1alpha3"]
    assert Listed(api, OWNER).look() == {OWNER: frozenset()}
    api.down()
    assert Listed(api, OWNER).look() == {OWNER: frozenset()}


@pytest.mark.parametrize(
    "answer",
    [b"[]", b"7", b'{"status": 7}', b'{"status": {"allocation": {"devices": {"results": [7]}}}}', b"<html>"],
)
def test_garbage_is_no_claim(api: FakeApiServer, caplog: pytest.LogCaptureFixture, answer: bytes) -> None:
    api.groups[GROUP] = ["v1"]
    api.answers["object"] = answer
    assert Listed(api, OWNER).look() == {OWNER: frozenset()}
    assert "did not answer like an API server" in warnings(caplog)[0]


@pytest.mark.parametrize("answer", [b"{}", b'{"status": null}', b'{"status": {"allocation": null}}'])
def test_claim_without_an_allocation_looks_at_nothing(api: FakeApiServer, answer: bytes) -> None:
    api.groups[GROUP] = ["v1"]
    api.answers["object"] = answer
    assert Listed(api, OWNER).look() == {OWNER: frozenset()}


def test_hostile_names_stay_within_their_path(api: FakeApiServer) -> None:
    api.groups[GROUP] = ["v1"]
    listed = Listed(api, ("../secrets", "a/b?c#d"))
    listed.look()
    assert api.requests[-1].path == f"/apis/{GROUP}/v1/namespaces/..%2Fsecrets/resourceclaims/a%2Fb%3Fc%23d"
