"""What a real OpenTelemetry Collector with the shipped configuration makes of the exporter's page."""

import re
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.golden.series import Series, read_series, read_types
from tests.integration.prometheus_run import answer_of, mock_exporter, page_of_series
from tests.otel.chain import Chain, sending, to_sink
from tests.otel.collector import OF_THE_TARGET, SHIPPED, collector, free_port, shipped, sink
from tests.pages import blocks, page, section
from tests.tools.build import build
from tests.unit.fake_api_server import FakeApiServer
from tests.waiting import until

SCENARIO = {
    "gpus": [{"profile": "h100-sxm"}, {"profile": "h100-sxm", "load": 60}, {"profile": "h100-sxm", "load": 100}],
    "pods": [
        {"namespace": "chat", "name": "llama-0", "containers": [{"name": "vllm", "gpus": [1]}]},
        {"namespace": "chat", "name": "llama-1", "containers": [{"name": "vllm", "gpus": [2]}]},
        {"namespace": "search", "name": "ranker", "containers": [{"name": "server", "gpus": [2]}]},
    ],
}
OF_THE_SCRAPE = {
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
}
TARGET = {"job", "instance"}


@pytest.fixture(scope="module")
def programs() -> Mapping[str, Path]:
    return build("otelcol", "prometheus")


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A page of the exporter that does not change, so that values can be compared."""
    with mock_exporter(tmp_path_factory.mktemp("exporter"), SCENARIO) as address:
        until(lambda: 'DCGM_FI_PROF_GR_ENGINE_ACTIVE{gpu="2"' in answer_of(f"http://{address}/metrics"))
        yield answer_of(f"http://{address}/metrics")


@pytest.fixture(scope="module")
def chain(frozen: str, programs: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    [otlp] = blocks(section(page("opentelemetry"), "Into Prometheus by OTLP"), "yaml")
    folder = tmp_path_factory.mktemp("chain")
    with page_of_series(frozen) as target, sending(programs, folder, target, yaml.safe_load(otlp)) as running:
        until(lambda: len(running.sink.batches) > 1 and running.prometheus.series("up"), what="the page arrives")
        yield running


def known(labels: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    """Return labels as Prometheus has them: an empty one is none."""
    return frozenset((name, value) for name, value in labels.items() if value)


def written(frozen: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Return what the page says; a series that says nothing of a pod has that of the target."""
    return {(series.name, known(OF_THE_TARGET | series.labels)): float(series.value) for series in read_series(frozen)}


def test_every_series_arrives_by_otlp_with_its_name_labels_and_value(chain: Chain, frozen: str) -> None:
    newest = chain.sink.newest()
    arrived = {(name, known(point.labels)): point.value for name, points in newest.items() for point in points}
    assert {name for name, _ in arrived} - {series.name for series in read_series(frozen)} == OF_THE_SCRAPE
    assert {key: value for key, value in arrived.items() if key[0] not in OF_THE_SCRAPE} == written(frozen)


def test_the_series_of_a_free_gpu_are_nobodys_although_the_target_has_a_pod(chain: Chain) -> None:
    points = chain.sink.newest()["DCGM_FI_DEV_GPU_UTIL"]
    assert sorted((point.labels["gpu"], point.labels.get("pod")) for point in points) == [
        ("0", None),
        ("1", "llama-0"),
        ("2", "llama-1"),
        ("2", "ranker"),
    ]


def test_the_resource_names_the_node_and_no_pod(chain: Chain) -> None:
    [resource] = {tuple(point.resource.items()) for points in chain.sink.newest().values() for point in points}
    assert dict(resource)["k8s.node.name"] == "node-1"
    assert not re.search(r"pod|namespace|container|daemonset", " ".join(dict(resource)))


def test_counters_are_cumulative_sums_with_a_start_and_gauges_are_gauges(chain: Chain, frozen: str) -> None:
    types = read_types(frozen)
    newest = chain.sink.newest()
    kinds = {name: newest[name][0].kind for name in types if name in newest}
    assert kinds == {name: "sum" if types[name] == "counter" else "gauge" for name in kinds}
    sums = [point for name, kind in kinds.items() if kind == "sum" for point in newest[name]]
    assert {"DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "gpu_exporter_busy_seconds_total"} <= kinds.keys()
    assert all(point.is_cumulative and 0 < point.starts < point.time for point in sums)


@pytest.mark.parametrize("job", ["dcgm-exporter", "otlp"])
def test_prometheus_gets_the_same_series_by_remote_write_and_by_otlp(chain: Chain, frozen: str, job: str) -> None:
    query = f'{{job="{job}", __name__!~"up|scrape_.*|target_info"}}'
    until(lambda: chain.prometheus.series(query), what=f"series of {job}")
    arrived = {}
    for one in chain.prometheus.series(query):
        labels = {name: value for name, value in one["metric"].items() if name not in {*TARGET, "__name__"}}
        arrived[one["metric"]["__name__"], known(labels)] = float(one["value"][1])
    assert arrived == written(frozen)


def test_the_exporter_of_the_node_is_found_through_the_api_server(programs: Mapping[str, Path], tmp_path: Path) -> None:
    api = FakeApiServer(tmp_path / "kubeconfig")
    api.up()
    try:
        with mock_exporter(tmp_path, SCENARIO) as target, sink() as taken:
            for name, node in (("dcgm-exporter-x7k2p", "node-1"), ("dcgm-exporter-q9d4f", "node-2")):
                api.put(name, "monitoring", **exporter_pod(node, port=int(target.rpartition(":")[2])))
            configuration = to_sink(yaml.safe_load(SHIPPED.read_text()), taken)
            [scrape] = configuration["receivers"]["prometheus"]["config"]["scrape_configs"]
            scrape["kubernetes_sd_configs"][0]["kubeconfig_file"] = str(api.kubeconfig)
            scrape["scrape_interval"] = "1s"
            with collector(programs["otelcol"], tmp_path / "agent", configuration, NODE_NAME="node-1"):
                until(lambda: taken.points("DCGM_FI_DEV_GPU_UTIL"), lambda: [request.query for request in api.requests])
        resources = {point.resource["k8s.node.name"] for point in taken.points("DCGM_FI_DEV_GPU_UTIL")}
        assert resources == {"node-1"}
        assert {"llama-0", "ranker"} <= {point.labels.get("pod") for point in taken.points("DCGM_FI_DEV_GPU_UTIL")}
        [selected] = {request.query["labelSelector"] for request in api.requests if "labelSelector" in request.query}
        assert selected == "app.kubernetes.io/name=dcgm-exporter"
    finally:
        api.down()


def exporter_pod(node: str, port: int) -> dict[str, Any]:
    """Return a pod of the chart's, as far as discovery looks at it."""
    ports = [{"name": "metrics", "containerPort": port, "protocol": "TCP"}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "spec": {"nodeName": node, "containers": [{"name": "exporter", "ports": ports}]},
        "status": {"phase": "Running", "podIP": "127.0.0.1"},
    }


def test_a_series_ends_with_its_pod(programs: Mapping[str, Path], tmp_path: Path) -> None:
    steering = free_port()
    with (
        mock_exporter(tmp_path, SCENARIO, f"--mock-steering-port={steering}") as target,
        sending(programs, tmp_path / "chain", target, {}) as running,
    ):

        def seen() -> list[float | None]:
            points = running.sink.points("DCGM_FI_DEV_GPU_UTIL")
            return [point.value for point in points if point.labels.get("pod") == "ranker"]

        until(lambda: seen() and seen()[-1] is not None, seen)
        delete = urllib.request.Request(f"http://127.0.0.1:{steering}/pods/search/ranker", method="DELETE")
        with urllib.request.urlopen(delete):
            until(lambda: seen()[-1] is None, seen)
        ranker = 'DCGM_FI_DEV_GPU_UTIL{job="dcgm-exporter", pod="ranker"}'
        until(lambda: running.prometheus.series(ranker) == [], lambda: running.prometheus.series(ranker))


def test_without_these_lines_of_the_file_labels_types_and_names_change(
    programs: Mapping[str, Path], tmp_path: Path
) -> None:
    """Why they are there: a line for which this fails can go."""
    with mock_exporter(tmp_path, SCENARIO) as target, sink() as taken:
        configuration = to_sink(shipped(target), taken)
        receiver = configuration["receivers"]["prometheus"]
        receiver["trim_metric_suffixes"] = True
        [scrape] = receiver["config"]["scrape_configs"]
        del scrape["scrape_protocols"], scrape["honor_labels"]
        with collector(programs["otelcol"], tmp_path / "agent", configuration):
            until(lambda: taken.points("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"))
    newest = taken.newest()
    energy = newest["DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"]
    assert {point.kind for point in energy} == {"gauge"}
    assert {point.labels["pod"] for point in energy} == {OF_THE_TARGET["pod"]}
    assert {"llama-0", "ranker"} <= {point.labels.get("exported_pod") for point in energy}
    assert "gpu_exporter_busy_seconds" in newest


def test_a_prometheus_that_scrapes_the_collector_sees_the_exporters_page(
    frozen: str, programs: Mapping[str, Path], tmp_path: Path
) -> None:
    [pulled] = blocks(section(page("opentelemetry"), "Scraped by Prometheus"), "yaml")
    port = free_port()
    with page_of_series(frozen) as target:
        configuration = shipped(target)
        configuration["exporters"] = yaml.safe_load(pulled)["exporters"]
        configuration["exporters"]["prometheus"]["endpoint"] = f"127.0.0.1:{port}"
        pipeline = {"receivers": ["prometheus"], "processors": ["resource"], "exporters": ["prometheus"]}
        configuration["service"]["pipelines"] = {"metrics": pipeline}
        with collector(programs["otelcol"], tmp_path / "agent", configuration):
            until(lambda: "DCGM_FI_DEV_GPU_UTIL{" in answer_of(f"http://127.0.0.1:{port}/metrics"))
            exposed = answer_of(f"http://127.0.0.1:{port}/metrics")
    arrived = {
        (series.name, without_target(series)): float(series.value)
        for series in read_series(exposed)
        if series.name not in {*OF_THE_SCRAPE, "target_info"}
    }
    assert arrived == written(frozen)
    types = {name: kind for name, kind in read_types(exposed).items() if name.startswith("DCGM_")}
    assert types == {name: kind for name, kind in read_types(frozen).items() if name.startswith("DCGM_")}


def without_target(series: Series) -> frozenset[tuple[str, str]]:
    return known({name: value for name, value in series.labels.items() if name not in TARGET})


def test_the_shipped_file_is_one_that_the_collector_takes(programs: Mapping[str, Path]) -> None:
    variables = {"NODE_NAME": "node-1", "OTLP_ENDPOINT": "x:4317", "REMOTE_WRITE_URL": "http://x/api/v1/write"}
    command = (str(programs["otelcol"]), "validate", f"--config={SHIPPED}")
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
