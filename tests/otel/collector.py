"""A real OpenTelemetry Collector with the shipped configuration, what it scrapes, and what it sends."""

import http.server
import json
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.waiting import PATIENCE_S, until

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "packaging" / "opentelemetry" / "collector.yaml"

OF_THE_TARGET = {"namespace": "monitoring", "pod": "dcgm-exporter-x7k2p", "container": "exporter"}
"""The exporter's own pod, as labels that many have discovery give to the target."""

META = {
    **OF_THE_TARGET,
    "__meta_kubernetes_namespace": "monitoring",
    "__meta_kubernetes_pod_name": "dcgm-exporter-x7k2p",
    "__meta_kubernetes_pod_uid": "0b8f6d5e-3f0e-4f0c-8f63-2f8f8c9f4a11",
    "__meta_kubernetes_pod_container_name": "exporter",
    "__meta_kubernetes_pod_container_port_name": "metrics",
    "__meta_kubernetes_pod_controller_kind": "DaemonSet",
    "__meta_kubernetes_pod_controller_name": "dcgm-exporter",
    "__meta_kubernetes_pod_node_name": "node-1",
}
"""What discovery in Kubernetes says of the exporter's pod."""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port


def shipped(target: str) -> dict[str, Any]:
    """Return the shipped configuration, with one known target in the place of discovery, scraped each second."""
    configuration: dict[str, Any] = yaml.safe_load(SHIPPED.read_text())
    [scrape] = configuration["receivers"]["prometheus"]["config"]["scrape_configs"]
    del scrape["kubernetes_sd_configs"]
    scrape |= {"scrape_interval": "1s", "static_configs": [{"targets": [target], "labels": META}]}
    return with_settings_of_tests(configuration)


def with_settings_of_tests(configuration: dict[str, Any]) -> dict[str, Any]:
    """Leave out the collector's own metrics, for whose port all collectors would fight."""
    configuration["service"]["telemetry"] = {"metrics": {"level": "none"}}
    return configuration


@dataclass(frozen=True, slots=True)
class Point:
    """A data point: its labels and what OTLP says of it."""

    kind: str  # gauge or sum
    labels: Mapping[str, str]
    value: float | None  # None: it has ended
    is_cumulative: bool
    starts: int
    time: int
    resource: Mapping[str, str]


@dataclass
class Sink:
    """A server that takes OTLP over HTTP as JSON, and keeps it."""

    port: int = 0
    batches: list[dict[str, list[Point]]] = field(default_factory=list)

    def points(self, name: str) -> list[Point]:
        """Return all points of a metric that have come, oldest first."""
        return [point for batch in self.batches for point in batch.get(name, ())]

    def newest(self) -> dict[str, list[Point]]:
        """Return the newest scrape, by the metrics' names."""
        return self.batches[-1] if self.batches else {}


@contextmanager
def sink() -> Iterator[Sink]:
    """Run such a server."""
    kept = Sink()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            kept.batches.append(_points(json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        kept.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield kept
        finally:
            server.shutdown()
            thread.join(PATIENCE_S)


def _points(request: Mapping[str, Any]) -> dict[str, list[Point]]:
    found: dict[str, list[Point]] = {}
    for resource in request["resourceMetrics"]:
        attributes = _attributes(resource["resource"])
        for scope in resource["scopeMetrics"]:
            for metric in scope["metrics"]:
                kind = "sum" if "sum" in metric else "gauge"
                is_cumulative = metric[kind].get("aggregationTemporality") == 2 and metric[kind].get("isMonotonic")
                found[metric["name"]] = [
                    Point(
                        kind,
                        _attributes(point),
                        None if point.get("flags") == 1 else float(point.get("asDouble", point.get("asInt", 0))),
                        bool(is_cumulative),
                        int(point.get("startTimeUnixNano", 0)),
                        int(point["timeUnixNano"]),
                        attributes,
                    )
                    for point in metric[kind]["dataPoints"]
                ]
    return found


def _attributes(thing: Mapping[str, Any]) -> dict[str, str]:
    return {one["key"]: next(iter(one["value"].values())) for one in thing.get("attributes", ())}


@contextmanager
def collector(program: Path, folder: Path, configuration: Mapping[str, Any], **variables: str) -> Iterator[None]:
    """Run a collector until the end of the block."""
    folder.mkdir()
    file, log = folder / "collector.yaml", folder / "log"
    file.write_text(yaml.safe_dump(dict(configuration)))
    with log.open("wb") as output:
        process = subprocess.Popen([program, f"--config={file}"], env=variables, stdout=output, stderr=output)
    try:
        until(lambda: process.poll() is not None or "Everything is ready" in log.read_text(), log.read_text)
        assert process.poll() is None, log.read_text()
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE_S)
