"""The real prometheus-adapter as the chart would run it, before a real Prometheus and a fake cluster."""

import base64
import http.client
import json
import re
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

from tests.chart import looks
from tests.chart.fake_cluster import FakeCluster, fake_cluster
from tests.chart.helm import Rendered
from tests.tools.build import build

_TIMEOUT_S = 10.0

Page = str | Callable[[], str]
"""Series as text, the same at each scrape or made for it."""


@dataclass(frozen=True, slots=True)
class Scrape:
    """How Prometheus scrapes one page: what its target is called, and what it makes of the series' own labels."""

    labels: Mapping[str, str] = field(default_factory=dict)
    honors_labels: bool = False
    relabelings: Sequence[Mapping[str, Any]] = ()


def relabelings_of(endpoint: looks.Part, key: str = "metricRelabelings") -> list[dict[str, Any]]:
    """Return what an endpoint of a monitor does with series (or with targets), in Prometheus' own spelling."""
    return [
        {re.sub("[A-Z]", lambda found: f"_{found[0].lower()}", key): value for key, value in one.items()}
        for one in endpoint.get(key, ())
    ]


@dataclass(frozen=True, slots=True)
class Adapter:
    """How to ask it, and what it did."""

    port: int
    ca: Path
    cluster: FakeCluster

    def get(self, path: str, server_name: str, token: str = "x") -> tuple[int, Any]:  # noqa: S107 - no secret
        """Return status and answer, JSON or text, over a connection that is verified for a server name.

        Raises:
            OSError: It does not answer, or its certificate is not of that name.
        """
        context = ssl.create_default_context(cafile=str(self.ca))
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=_TIMEOUT_S) as raw,
            context.wrap_socket(raw, server_hostname=server_name) as verified,
        ):
            connection = http.client.HTTPConnection(server_name)
            connection.sock = verified
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            connection.request("GET", path, headers={**headers, "Connection": "close"})
            with connection.getresponse() as answer:
                body = answer.read().decode()
                is_json = "json" in (answer.headers["Content-Type"] or "")
                return answer.status, json.loads(body) if is_json else body


@contextmanager
def running_adapter(
    rendered: Rendered,
    pages: Mapping[str, Page],
    scrapes: Mapping[str, Scrape],
    pods: Sequence[str],
    folder: Path,
) -> Iterator[Adapter]:
    """Run it: Prometheus scrapes these pages, each in its way; the cluster has these pods."""
    secret = rendered.one("Secret")["data"]
    for name, value in secret.items():
        (folder / name).write_bytes(base64.b64decode(value))
    [rules] = [one["data"]["config.yaml"] for one in rendered.all("ConfigMap") if "config.yaml" in one["data"]]
    (folder / "config.yaml").write_text(rules, encoding="utf-8")
    [container] = rendered.one("Deployment")["spec"]["template"]["spec"]["containers"]
    with ExitStack() as stack:
        cluster = stack.enter_context(fake_cluster(list(pods), (folder / "ca.crt").read_text()))
        kubeconfig = folder / "kubeconfig"
        cluster.write_kubeconfig(kubeconfig)
        server = stack.enter_context(_pages(pages))
        prometheus = stack.enter_context(_prometheus(server.server_port, scrapes, folder))
        port = _free_port()
        places = {
            "/etc/adapter-tls/": f"{folder}/",
            "/etc/adapter/": f"{folder}/",
            "--secure-port=6443": f"--secure-port={port}",
            "http://prometheus.test:9090": f"http://127.0.0.1:{prometheus}",
        }
        arguments = container["args"] + [
            f"--{who}-kubeconfig={kubeconfig}" for who in ("lister", "authentication", "authorization")
        ]
        for place, here in places.items():
            arguments = [argument.replace(place, here) for argument in arguments]
        stack.enter_context(_process([build("adapter")["prometheus-adapter"], *arguments], folder / "adapter.log"))
        yield Adapter(port, folder / "ca.crt", cluster)


@contextmanager
def _prometheus(page_port: int, scrapes: Mapping[str, Scrape], folder: Path) -> Iterator[int]:
    jobs = [
        {
            "job_name": page,
            "honor_labels": scrape.honors_labels,
            "metrics_path": f"/{page}",
            "static_configs": [{"targets": [f"127.0.0.1:{page_port}"], "labels": dict(scrape.labels)}],
            "metric_relabel_configs": list(scrape.relabelings),
        }
        for page, scrape in scrapes.items()
    ]
    config = folder / "prometheus.yaml"
    config.write_text(yaml.safe_dump({"global": {"scrape_interval": "1s"}, "scrape_configs": jobs}), encoding="utf-8")
    port = _free_port()
    own = (f"--config.file={config}", f"--storage.tsdb.path={folder}/tsdb", f"--web.listen-address=127.0.0.1:{port}")
    with _process([build("prometheus")["prometheus"], *own], folder / "prometheus.log"):
        yield port


@contextmanager
def _pages(pages: Mapping[str, Page]) -> Iterator[ThreadingHTTPServer]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = pages[self.path.strip("/")]
            body = (page if isinstance(page, str) else page()).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: object) -> None:
            """Keep the test's output clean."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def _process(command: Sequence[str | Path], log: Path) -> Iterator[None]:
    with log.open("w") as file, subprocess.Popen(command, stdout=file, stderr=file, cwd=log.parent) as process:
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
