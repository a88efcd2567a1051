"""What the objects say that let Prometheus scrape the exporter."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.chart import looks
from tests.chart.helm import ALL_APIS, Helm
from tests.chart.running_adapter import relabelings_of
from tests.chart.targets import entry, keda
from tests.integration.prometheus_run import answer_of, mock_exporter, page_of_series, prometheus
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
    relabelings = relabelings_of(looks.endpoint(helm.template()))
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
    assert relabelings_of(looks.endpoint(helm.template(values))) == []


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


# The second look at what autoscalers act on.

ADAPTER = {"adapter": {"deploy": True}}
UTIL = ["DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_DEV_GPU_UTIL_RATIO"]
FREE = {"preset": "gpu_framebuffer_used_ratio"}
OWN_RULE = {
    "seriesQuery": 'DCGM_FI_DEV_GPU_TEMP{pod!=""}',
    "resources": {"template": "<<.Resource>>"},
    "metricsQuery": "max by (<<.GroupBy>>)(<<.Series>>{<<.LabelMatchers>>})",
}


def signal(**keys: object) -> dict[str, Any]:
    return {"serviceMonitor": {"signal": keys}}


def second_look(helm: Helm, values: Mapping[str, Any]) -> Sequence[str]:
    """Return the series that the second endpoint asks for, none where there is only the page's."""
    page, *others = looks.endpoints(helm.template(values))
    assert "params" not in page
    names = [name for other in others for name in other["params"]["name[]"]]
    drops = [one["regex"].split("|") for one in page["metricRelabelings"] if one["action"] == "drop"]
    assert drops == [other["params"]["name[]"] for other in others]
    return names


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ({}, []),
        (ADAPTER, UTIL),
        ({"podMonitor": {"enabled": True}} | ADAPTER, UTIL),
        ({"autoscaling": [entry()]}, UTIL),
        ({"autoscaling": [entry(metrics=[{"metric": "gpu_utilization_max", "threshold": 50}])]}, UTIL),
        ({"autoscaling": [keda(metrics=[FREE])]}, ["DCGM_FI_DEV_FB_USED", "DCGM_FI_DEV_FB_FREE"]),
        ({"autoscaling": [entry(metrics=[{"preset": "vllm"}])]}, []),
        (
            {"autoscaling": [keda(metrics=[{"query": "sum(DCGM_FI_DEV_POWER_USAGE)", "threshold": 1}])]},
            ["DCGM_FI_DEV_POWER_USAGE"],
        ),
        ({"adapter": {"deploy": True, "rules": {"extra": [OWN_RULE]}}}, [*UTIL, "DCGM_FI_DEV_GPU_TEMP"]),
        (signal(enabled=True), UTIL),
        (signal(enabled="true"), UTIL),
        (signal(enabled=False) | ADAPTER, []),
        (signal(enabled="false") | ADAPTER, []),
        (signal(enabled="auto", interval="15s") | ADAPTER, []),
        (signal(enabled=True, interval="15s"), UTIL),
        ({"serviceMonitor": {"signal": None}} | ADAPTER, UTIL),
    ],
)
def test_second_look_asks_for_the_series_of_the_metrics_in_use(
    values: dict[str, Any], names: list[str], helm: Helm
) -> None:
    asked = second_look(helm, values)
    assert set(names) <= set(asked)
    assert bool(asked) == bool(names)
    assert len(asked) == len(set(asked))


def test_autoscalers_look_as_often_as_prometheus_and_at_most_every_five_seconds(helm: Helm) -> None:
    cases: list[tuple[dict[str, Any], int]] = [
        ({}, 5),
        (signal(interval="8s"), 8),
        (signal(enabled=False), 15),
        ({"serviceMonitor": {"interval": "3s"}}, 3),
        ({"adapter": {"deploy": True, "relistInterval": "7s"}}, 7),
    ]
    for values, seconds in cases:
        rendered = helm.template({**ADAPTER, **values})
        [container] = rendered.one("Deployment")["spec"]["template"]["spec"]["containers"]
        assert f"--metrics-relist-interval={1000 * seconds}ms" in container["args"]


@pytest.mark.parametrize(
    ("values", "interval"),
    [
        ({"arguments": ["-c", "1000"]}, "2s"),
        ({"arguments": ["--collect-interval=5000"]}, "10000ms"),
        ({"extraEnv": [{"name": "DCGM_EXPORTER_INTERVAL", "value": "3000"}]}, "6000ms"),
        ({"arguments": [], "config": {"version": 1, "collection": {"interval": "2s"}}}, "4000ms"),
        ({"arguments": ["-c", "30000"]}, None),
    ],
)
def test_between_two_looks_lies_a_collection(values: dict[str, Any], interval: str | None, helm: Helm) -> None:
    _, *others = looks.endpoints(helm.template(values | ADAPTER))
    assert [one["interval"] for one in others] == ([interval] if interval else [])


@pytest.mark.parametrize(
    ("one", "values", "seconds"),
    [
        (keda(), {}, 5),
        (keda(), signal(interval="7500ms"), 8),
        (keda(pollingInterval=60), {}, 60),
        (keda(), signal(enabled=False), None),
        (keda(metrics=[{"preset": "vllm"}]), ADAPTER, None),
    ],
)
def test_keda_asks_as_often_of_workloads_that_scale_on_gpus(
    one: dict[str, Any], values: dict[str, Any], seconds: int | None, helm: Helm
) -> None:
    scaled = helm.template({**values, "autoscaling": [one]}).one("ScaledObject")
    assert scaled["spec"].get("pollingInterval") == seconds


def test_neither_look_is_longer_than_its_interval_or_made_without_a_monitor(helm: Helm) -> None:
    assert [one["scrapeTimeout"] for one in looks.endpoints(helm.template(ADAPTER))] == ["10s", "2s"]
    text = helm.template({"serviceMonitor": {"enabled": False}} | ADAPTER).text
    assert "name[]" not in text
    assert "--metrics-relist-interval=15000ms" in text


def scrape_configs(endpoints: Sequence[looks.Part], address: str) -> list[dict[str, Any]]:
    """Return what the operator makes of a monitor, for one target."""
    discovered = {"job": "dcgm-exporter", "namespace": "monitoring", "pod": "dcgm-exporter-x7k2p"}
    labels = {**discovered, "__meta_kubernetes_pod_name": "dcgm-exporter-x7k2p"}
    return [
        {
            "job_name": f"{address}/{number}",
            "params": endpoint.get("params", {}),
            "scrape_interval": endpoint["interval"],
            "scrape_timeout": endpoint["scrapeTimeout"],
            "honor_labels": endpoint["honorLabels"],
            "static_configs": [{"targets": [address], "labels": labels}],
            "relabel_configs": relabelings_of(endpoint, "relabelings"),
            "metric_relabel_configs": relabelings_of(endpoint),
        }
        for number, endpoint in enumerate(endpoints)
    ]


SCENARIO = {"gpus": [{"profile": "h100-sxm", "count": 2, "load": {"kind": "constant", "percent": 40}}]}
POWER = "DCGM_FI_DEV_POWER_USAGE"
OLD_PAGE = """
DCGM_FI_DEV_GPU_UTIL{gpu="0",UUID="GPU-1",container="server",namespace="chat",pod="llm-0"} 1
DCGM_FI_DEV_POWER_USAGE{gpu="0",UUID="GPU-1",container="server",namespace="chat",pod="llm-0"} 70
"""


def labels_of(series: Sequence[Mapping[str, Any]]) -> list[list[tuple[str, str]]]:
    return sorted(sorted({**one["metric"], "__name__": ""}.items()) for one in series)


def test_no_series_comes_by_both_looks_and_each_has_the_labels_that_it_had(helm: Helm, tmp_path: Path) -> None:
    """Of this exporter, and of an older one, which prints its whole page whatever it is asked for."""
    intervals = {"interval": "2s", "scrapeTimeout": "2s", "signal": {"interval": "1s"}}
    endpoints = looks.endpoints(helm.template({"serviceMonitor": intervals, "arguments": ["-c", "500"]} | ADAPTER))
    with mock_exporter(tmp_path, SCENARIO) as new, page_of_series(OLD_PAGE) as old:
        jobs = [job for address in (new, old) for job in scrape_configs(endpoints, address)]
        with prometheus(build("prometheus")["prometheus"], tmp_path, jobs) as server:

            def often(name: str) -> dict[str, int]:
                counts = server.series(f"sum by (instance) (count_over_time({name}[10m]))")
                return {one["metric"]["instance"]: int(one["value"][1]) for one in counts}

            until(lambda: min(often(POWER).get(one, 0) for one in (new, old)) >= 3)
            util, power = often("DCGM_FI_DEV_GPU_UTIL"), often(POWER)
            assert all(util[one] > power[one] for one in (new, old))
            assert labels_of(server.series("DCGM_FI_DEV_GPU_UTIL")) == labels_of(server.series(POWER))
            assert len(server.series("count by (gpu, UUID) (DCGM_FI_DEV_GPU_UTIL)")) == 3
            assert {one["metric"]["job"] for one in server.series("up")} == {"dcgm-exporter", "dcgm-exporter-signal"}
            assert len(server.series("up == 1")) == 4
            metrics = answer_of(f"http://{server.address}/metrics")
            for what in ("duplicate_timestamp", "out_of_order"):
                assert f"\nprometheus_target_scrapes_sample_{what}_total 0\n" in metrics
