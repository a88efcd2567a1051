"""The chain that metrics go through: an agent with the shipped configuration, a gateway, a sink and a Prometheus."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.integration.prometheus_run import Prometheus, running_prometheus
from tests.otel.collector import Sink, collector, free_port, shipped, sink, with_settings_of_tests

RECEIVERS = ("--web.enable-otlp-receiver", "--web.enable-remote-write-receiver")
JSON = {"encoding": "json", "compression": "none"}


@dataclass(frozen=True)
class Chain:
    """An agent with the shipped configuration, a gateway that it sends to, and a Prometheus that both write to."""

    sink: Sink
    prometheus: Prometheus


@contextmanager
def sending(
    programs: Mapping[str, Path], folder: Path, target: str, configuration: Mapping[str, Any]
) -> Iterator[Chain]:
    """Run the chain for one exporter, with a configuration of Prometheus."""
    folder.mkdir(exist_ok=True)
    port = free_port()
    with (
        sink() as taken,
        running_prometheus(programs["prometheus"], folder, configuration, *RECEIVERS) as store,
        collector(programs["otelcol"], folder / "gateway", gateway(port, taken, store)),
        collector(
            programs["otelcol"],
            folder / "agent",
            shipped(target),
            OTLP_ENDPOINT=f"127.0.0.1:{port}",
            REMOTE_WRITE_URL=f"http://{store.address}/api/v1/write",
        ),
    ):
        yield Chain(taken, store)


def gateway(port: int, taken: Sink, store: Prometheus) -> dict[str, Any]:
    """Return the configuration of a collector that takes OTLP, and sends it to a sink and to Prometheus."""
    return with_settings_of_tests(
        {
            "receivers": {"otlp": {"protocols": {"grpc": {"endpoint": f"127.0.0.1:{port}"}}}},
            "processors": {"resource": {"attributes": [{"key": "service.name", "value": "otlp", "action": "update"}]}},
            "exporters": {
                "otlp_http/sink": {"metrics_endpoint": f"http://127.0.0.1:{taken.port}", **JSON},
                "otlp_http/prometheus": {"metrics_endpoint": f"http://{store.address}/api/v1/otlp/v1/metrics"},
            },
            "service": {
                "pipelines": {
                    "metrics": {
                        "receivers": ["otlp"],
                        "processors": ["resource"],
                        "exporters": ["otlp_http/sink", "otlp_http/prometheus"],
                    }
                }
            },
        }
    )


def to_sink(configuration: dict[str, Any], taken: Sink) -> dict[str, Any]:
    """Send to the sink alone, with the processors of the pipeline for OTLP."""
    processors = configuration["service"]["pipelines"]["metrics/otlp"]["processors"]
    configuration["exporters"] = {"otlp_http": {"metrics_endpoint": f"http://127.0.0.1:{taken.port}", **JSON}}
    pipeline = {"receivers": ["prometheus"], "processors": processors, "exporters": ["otlp_http"]}
    configuration["service"]["pipelines"] = {"metrics": pipeline}
    return with_settings_of_tests(configuration)
