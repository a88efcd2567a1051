import logging

import pytest

from exporter.errors import KubeError
from exporter.kube import OwnNode
from tests.unit.fake_api_server import FakeApiServer

POD = ("monitoring", "exporter-x7k2p")


def find(node: OwnNode, api: FakeApiServer) -> str:
    with api.connect() as server:
        return node.find(server)


def test_known_node_is_not_asked_for(api: FakeApiServer) -> None:
    node = OwnNode("gpu-1")
    assert (find(node, api), str(node), api.requests) == ("gpu-1", "node gpu-1", [])


def test_node_is_found_by_the_own_pod_and_asked_for_once(api: FakeApiServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    api.put("exporter-x7k2p", "elsewhere", spec={"nodeName": "gpu-9"})
    api.put("exporter-other", "monitoring", spec={"nodeName": "gpu-9"})
    api.put("exporter-x7k2p", "monitoring", spec={"nodeName": "gpu-1"})
    node = OwnNode(None, POD, "exporter-x7k2p")
    assert str(node) == "this pod's node"
    for _ in range(2):
        assert find(node, api) == "gpu-1"
    assert str(node) == "node gpu-1"
    (request,) = api.requests
    assert request.path == "/api/v1/namespaces/monitoring/pods", "a list, for which the account has the right"
    told = [record.getMessage() for record in caplog.records if record.name.startswith("exporter")]
    assert told == ["NODE_NAME is not set; according to the API server, this pod runs on node gpu-1"]


@pytest.mark.parametrize("pod", [None, POD], ids=["no namespace", "a pod of another name"])
def test_host_s_name_is_the_node_s_if_pods_run_there(api: FakeApiServer, pod: tuple[str, str] | None) -> None:
    api.put("web-0", spec={"nodeName": "gpu-1"})
    assert find(OwnNode(None, pod, "gpu-1"), api) == "gpu-1"


@pytest.mark.parametrize("pod", [None, POD])
def test_node_that_nobody_knows_is_an_error_that_says_what_to_set(
    api: FakeApiServer, pod: tuple[str, str] | None
) -> None:
    api.put("web-0", spec={"nodeName": "gpu-1"})
    with pytest.raises(KubeError) as caught:
        find(OwnNode(None, pod, "my-exporter"), api)
    text = str(caught.value)
    assert text.startswith("NODE_NAME is not set, and the API server does not name this pod's node: ")
    assert text.endswith("no pod is on a node my-exporter; set NODE_NAME from spec.nodeName")
    assert ("monitoring/exporter-x7k2p" in text) == (pod is not None)


def test_refusal_is_told_with_its_reason(api: FakeApiServer) -> None:
    api.refusals["list"] = 403
    with pytest.raises(KubeError, match=r"NODE_NAME is not set.* 403 Forbidden: no list for you; set NODE_NAME"):
        find(OwnNode(None, POD, "host"), api)


@pytest.mark.parametrize("answer", [b"{}", b"[]", b'{"items": [{"spec": 7}]}', b"<html>", b'{"items": 7}'])
def test_garbage_is_no_node(api: FakeApiServer, answer: bytes) -> None:
    api.answers["list"] = answer
    with pytest.raises(KubeError, match="did not answer like an API server"):
        find(OwnNode(None, POD, "host"), api)


def test_pod_without_a_node_is_not_this_one(api: FakeApiServer) -> None:
    api.answers["list"] = b'{"items": [{"metadata": {}, "spec": {"nodeName": ""}}]}'
    with pytest.raises(KubeError, match="no pod is on a node host"):
        find(OwnNode(None, POD, "host"), api)
