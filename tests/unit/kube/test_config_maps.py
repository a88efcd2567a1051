import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from exporter.errors import ConfigError, ExporterError, KubeError
from exporter.kube import read_config_map
from tests.json_handler import JsonHandler

ROOT = Path(__file__).parents[3]


class FakeApiServer(ThreadingHTTPServer):
    """An API server that gives each request the same answer and remembers what was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), FakeApiHandler)
        self.status = 200
        self.body = b"{}"
        self.requests: list[tuple[str, str | None]] = []

    def holds(self, data: dict[str, str] | None) -> None:
        self.body = json.dumps({"kind": "ConfigMap", "apiVersion": "v1", "data": data}).encode()


class FakeApiHandler(JsonHandler, BaseHTTPRequestHandler):
    server: FakeApiServer

    def do_GET(self) -> None:
        self.server.requests.append((self.path, self.headers["Authorization"]))
        self.send(self.server.body, self.server.status)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reach the fake API server directly on a machine that has a proxy."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def api_server() -> Iterator[FakeApiServer]:
    with FakeApiServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def write_kubeconfig(path: Path, server: str) -> Path:
    context = {"name": "lab", "context": {"cluster": "lab", "user": "me"}}
    text = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "lab",
        "contexts": [context],
        "clusters": [{"name": "lab", "cluster": {"server": server}}],
        "users": [{"name": "me", "user": {"token": "secret"}}],
    }
    path.write_text(json.dumps(text), encoding="utf-8")
    return path


@pytest.fixture
def kubeconfig(tmp_path: Path, api_server: FakeApiServer) -> Path:
    return write_kubeconfig(tmp_path / "config", f"http://127.0.0.1:{api_server.server_port}")


def refusal(kubeconfig: Path, error_type: type[ExporterError] = ConfigError) -> str:
    with pytest.raises(error_type) as caught:
        read_config_map("gpu", "counters", kubeconfig=kubeconfig)
    assert type(caught.value) is error_type
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence.startswith("ConfigMap gpu:counters: ")
    return sentence.removeprefix("ConfigMap gpu:counters: ")


def test_the_key_metrics_is_read_from_the_named_config_map(api_server: FakeApiServer, kubeconfig: Path) -> None:
    api_server.holds({"metrics": "DCGM_FI_DEV_GPU_TEMP, gauge, Wärme\n", "other": "x"})
    text = read_config_map("gpu", "counters", kubeconfig=kubeconfig)
    assert text == "DCGM_FI_DEV_GPU_TEMP, gauge, Wärme\n"
    assert api_server.requests == [("/api/v1/namespaces/gpu/configmaps/counters", "Bearer secret")]


def test_another_key_can_be_named(api_server: FakeApiServer, kubeconfig: Path) -> None:
    api_server.holds({"metrics": "x", "other": "y"})
    assert read_config_map("gpu", "counters", "other", kubeconfig) == "y"


def test_a_missing_key_is_refused_with_those_that_are_there(api_server: FakeApiServer, kubeconfig: Path) -> None:
    api_server.holds({"b.csv": "x", "a.csv": "y"})
    assert refusal(kubeconfig) == "it has no key 'metrics'; its keys: a.csv, b.csv"


def test_a_config_map_without_data_has_no_keys(api_server: FakeApiServer, kubeconfig: Path) -> None:
    api_server.holds(None)
    assert refusal(kubeconfig) == "it has no key 'metrics'; its keys: none"


def test_a_config_map_that_does_not_exist_is_refused(api_server: FakeApiServer, kubeconfig: Path) -> None:
    api_server.status = 404
    assert refusal(kubeconfig) == "it does not exist"


@pytest.mark.parametrize("status", [401, 403])
def test_a_forbidden_config_map_is_refused_with_what_is_needed(
    api_server: FakeApiServer, kubeconfig: Path, status: int
) -> None:
    api_server.status = status
    assert "grant the service account get on it" in refusal(kubeconfig)


@pytest.mark.parametrize("status", [302, 429, 500, 503])
def test_a_failing_api_server_is_asked_once(api_server: FakeApiServer, kubeconfig: Path, status: int) -> None:
    api_server.status = status
    assert f"answered {status} " in refusal(kubeconfig, KubeError)
    assert len(api_server.requests) == 1


@pytest.mark.parametrize(
    "body",
    [b"<html>", b"[]", b"", b"{", b'{"data": "x"}', b'{"data": {"metrics": "\xff"}}', b'{"data": {"metrics": 5}}'],
)
def test_an_answer_that_is_no_config_map_is_refused(api_server: FakeApiServer, kubeconfig: Path, body: bytes) -> None:
    api_server.body = body
    assert "did not answer like an API server" in refusal(kubeconfig, KubeError)


def test_an_unreachable_api_server_is_an_error_that_may_pass(tmp_path: Path) -> None:
    with FakeApiServer() as closed:
        server = f"http://127.0.0.1:{closed.server_port}"
    sentence = refusal(write_kubeconfig(tmp_path / "config", server), KubeError)
    assert sentence.startswith(f"{server} is not reachable: ")
    assert "Connection refused" in sentence


def test_a_failed_tls_handshake_is_for_the_user_to_mend(tmp_path: Path, api_server: FakeApiServer) -> None:
    kubeconfig = write_kubeconfig(tmp_path / "config", f"https://127.0.0.1:{api_server.server_port}")
    assert refusal(kubeconfig).startswith("TLS with the API server failed: ")


@pytest.mark.parametrize("text", ["", "[]", "x: [", "apiVersion: v1", "current-context: a\ncontexts: 3"])
def test_a_broken_kubeconfig_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config"
    path.write_text(text, encoding="utf-8")
    assert refusal(path).startswith("can't use the kubeconfig: ")


def test_a_missing_kubeconfig_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none").startswith("can't use the kubeconfig: ")


def test_outside_of_a_cluster_the_users_own_kubeconfig_is_used(api_server: FakeApiServer, kubeconfig: Path) -> None:
    api_server.holds({"metrics": "found"})
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KUBERNETES_SERVICE")}
    code = "from exporter.kube import read_config_map; print(read_config_map('gpu', 'counters'))"
    answer = subprocess.check_output(
        [sys.executable, "-c", code], env=environment | {"KUBECONFIG": str(kubeconfig)}, cwd=ROOT, text=True
    )
    assert answer == "found\n"


def test_the_client_library_is_not_loaded_before_it_is_needed() -> None:
    code = "import sys, exporter.kube; sys.exit('kubernetes' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
