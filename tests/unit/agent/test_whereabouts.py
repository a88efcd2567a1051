from pathlib import Path

import pytest

from exporter.agent.whereabouts import find_whereabouts
from tests.unit.fake_api_server import FakeApiServer

IN_A_POD = {"KUBERNETES_SERVICE_HOST": "10.96.0.1"}


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_variables_tell_node_and_pod(caplog: pytest.LogCaptureFixture) -> None:
    environ = {**IN_A_POD, "NODE_NAME": "gpu-1", "POD_NAMESPACE": "monitoring", "POD_NAME": "exporter-x7k2p"}
    where = find_whereabouts(environ, "exporter-x7k2p")
    assert (str(where.node), where.pod) == ("node gpu-1", ("monitoring", "exporter-x7k2p"))
    assert warnings(caplog) == []


@pytest.mark.parametrize(
    "environ", [{}, {"POD_NAME": "a"}, {"POD_NAMESPACE": "b"}, {"POD_NAME": "a", "POD_NAMESPACE": ""}]
)
def test_half_a_name_is_no_pod(environ: dict[str, str]) -> None:
    assert find_whereabouts({**IN_A_POD, "NODE_NAME": "gpu-1", **environ}, "host").pod is None


def test_outside_of_a_pod_the_host_is_the_node(caplog: pytest.LogCaptureFixture) -> None:
    assert str(find_whereabouts({}, "gpu-1").node) == "node gpu-1"
    assert warnings(caplog) == []


def test_pod_without_the_node_s_name_says_so(caplog: pytest.LogCaptureFixture) -> None:
    assert str(find_whereabouts({**IN_A_POD, "NODE_NAME": ""}, "host-1").node) == "this pod's node"
    (warning,) = warnings(caplog)
    assert warning.startswith("NODE_NAME is not set: ")


@pytest.mark.parametrize(
    ("environ", "mounted", "asked"),
    [
        ({"POD_NAMESPACE": "monitoring", "POD_NAME": "exporter-1"}, "other", "monitoring/exporter-1"),
        ({"POD_NAMESPACE": "monitoring"}, "other", "monitoring/host-1"),
        ({}, "monitoring\n", "monitoring/host-1"),
    ],
)
def test_own_pod_is_asked_for_the_node(
    api: FakeApiServer, tmp_path: Path, environ: dict[str, str], mounted: str, asked: str
) -> None:
    (tmp_path / "namespace").write_text(mounted)
    namespace, pod = asked.split("/")
    api.put(pod, namespace, spec={"nodeName": "gpu-1"})
    where = find_whereabouts({**IN_A_POD, **environ}, "host-1", tmp_path)
    with api.connect() as server:
        assert where.node.find(server) == "gpu-1"
    assert api.requests[0].path == f"/api/v1/namespaces/{namespace}/pods"


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_without_a_namespace_the_host_s_name_is_all_there_is(
    api: FakeApiServer, tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "namespace").write_bytes(content)
    api.put("web-0", spec={"nodeName": "gpu-1"})
    with api.connect() as server:
        assert find_whereabouts(IN_A_POD, "gpu-1", tmp_path).node.find(server) == "gpu-1"
