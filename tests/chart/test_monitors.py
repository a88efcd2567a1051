"""What the objects say that let Prometheus scrape the exporter."""

from pathlib import Path

import pytest

from tests.chart import looks
from tests.chart.helm import ALL_APIS, Helm
from tests.chart.running_adapter import metric_relabelings
from tests.integration.prometheus_run import page_of_series, prometheus
from tests.tools.build import build
from tests.waiting import until


@pytest.mark.parametrize(("kind", "key"), [("ServiceMonitor", "endpoints"), ("PodMonitor", "podMetricsEndpoints")])
@pytest.mark.parametrize(
    ("given", "timeout"),
    [
        ({}, "10s"),
        ({"interval": "5s"}, "5s"),
        ({"interval": "10s"}, "10s"),
        ({"interval": "500ms"}, "500ms"),
        ({"interval": "1m30s", "scrapeTimeout": "75s"}, "75s"),
        ({"scrapeTimeout": "1m"}, "15s"),
    ],
)
def test_timeout_is_never_longer_than_the_interval_because_the_operator_would_drop_the_monitor(
    helm: Helm, kind: str, key: str, given: dict[str, str], timeout: str
) -> None:
    values = {"serviceMonitor": given, "podMonitor": {"enabled": kind == "PodMonitor"}}
    [endpoint] = helm.template(values, apis=ALL_APIS).one(kind)["spec"][key]
    assert endpoint["scrapeTimeout"] == timeout


PAGE = """
DCGM_FI_DEV_GPU_UTIL{gpu="0",UUID="GPU-1",container="server",namespace="chat",pod="llm-0"} 1
DCGM_FI_DEV_GPU_UTIL{gpu="1",UUID="GPU-2",container="",namespace="",pod=""} 0
gpu_exporter_owner_info{gpu="0",UUID="GPU-1",container="server",namespace="chat",pod="llm-0"} 1
"""


def test_dashboards_made_for_dcgm_exporter_find_held_and_free_gpus_by_exported_pod(helm: Helm, tmp_path: Path) -> None:
    relabelings = metric_relabelings(helm.template())
    with page_of_series(PAGE) as address:
        job = {"job_name": "x", "honor_labels": True, "static_configs": [{"targets": [address]}]}
        jobs = [{**job, "metric_relabel_configs": relabelings}]
        with prometheus(build("prometheus")["prometheus"], tmp_path, jobs) as server:
            until(lambda: len(server.series('{gpu!=""}')) == 3)
            [held] = server.series('DCGM_FI_DEV_GPU_UTIL{exported_pod!=""}')
            both = {name: held["metric"][f"exported_{name}"] for name in ("container", "namespace", "pod")}
            assert both == {"container": "server", "namespace": "chat", "pod": "llm-0"}
            assert both == {name: held["metric"][name] for name in both}
            [free] = server.series('DCGM_FI_DEV_GPU_UTIL{exported_pod="",pod=""}')
            assert free["metric"]["UUID"] == "GPU-2"
            assert server.series('gpu_exporter_owner_info{exported_pod!=""}') == []


@pytest.mark.parametrize(
    "values",
    [
        {"serviceMonitor": {"exportedLabels": False}},
        {"serviceMonitor": {"honorLabels": False}},
        {"labels": {"oldNames": True}},
    ],
)
def test_nothing_is_written_twice_where_it_is_unwanted_or_prometheus_does_it_or_labels_have_other_names(
    values: dict[str, object], helm: Helm
) -> None:
    assert metric_relabelings(helm.template(values)) == []


def test_relabelings_of_the_user_run_after_the_chart_s(helm: Helm) -> None:
    own = {"sourceLabels": ["exported_pod"], "targetLabel": "workload"}
    made = looks.endpoint(helm.template({"serviceMonitor": {"metricRelabelings": [own]}}))["metricRelabelings"]
    assert len(made) == 4
    assert made[-1] == own


@pytest.mark.parametrize("kind", ["ServiceMonitor", "PodMonitor"])
def test_targets_have_their_nodes_labels_where_it_is_asked(kind: str, helm: Helm) -> None:
    values = {"serviceMonitor": {"attachMetadata": {"node": True}}, "podMonitor": {"enabled": kind == "PodMonitor"}}
    assert helm.template(values).one(kind)["spec"]["attachMetadata"] == {"node": True}
    assert "attachMetadata" not in helm.template().one("ServiceMonitor")["spec"]
