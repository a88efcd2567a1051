"""What dashboards are tried on: exporters of each label style, an HPA and a model server beside them, a Prometheus."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from exporter.counters_source import PACKAGED
from tests.chart.alert_cases import SCRAPED_STYLES
from tests.chart.helm import CHART
from tests.integration.prometheus_run import Prometheus, mock_exporter, page_of_series, prometheus
from tests.tools.build import build

JOB = "dcgm-exporter"
ARGUMENTS = {
    "classic": [],
    "4.8.3": ["--label-style=4.8.3"],
    "4.9": ["--label-style=4.9"],
    "old": ["-o"],
    "renamed": [],
}
"""How an exporter is told each style; the newest label names come with the newer names of fields."""
NOBODY = "127.0.0.1:1"
"""Where no exporter answers."""
POD = "llama-70b-6d8f9c7b5-kq2xw"
IDLE = "llama-70b-6d8f9c7b5-zt7mn"


def namespace_of(style: str) -> str:
    """Return the namespace of the pods that a node of this label style has; names of namespaces have no dots."""
    return f"chat-{style.replace('.', '-')}"


def scenario(style: str) -> dict[str, Any]:
    """Whole, shared, divided, idle and broken GPUs."""
    namespace = namespace_of(style)

    def pod(name: str, *gpus: object) -> dict[str, Any]:
        return {"namespace": namespace, "name": name, "containers": [{"gpus": list(gpus)}]}

    return {
        "gpus": [
            {"profile": "h100-sxm", "nvlink": True, "count": 2, "load": 50},
            {"profile": "h100-sxm", "load": 0},
            {"profile": "h100-sxm", "load": 80},
            {"profile": "h100-sxm", "load": 40, "mig": ["1g.10gb", "3g.40gb"]},
            {"profile": "h100-sxm", "load": 10, "faults": [{"kind": "xid", "at_s": 2, "code": 79}]},
            {"profile": "h100-sxm", "load": 10, "faults": [{"kind": "lost", "at_s": 2}]},
        ],
        "pods": [
            pod(POD, 0),
            pod(IDLE, 1),
            pod("notebook-0", 2),
            pod("reranker-0", {"gpu": 3, "replica": 0}),
            pod("embedder-0", {"gpu": 3, "replica": 1}),
            pod("ocr-0", {"gpu": 4, "mig": 0}),
        ],
    }


HPA = """
kube_horizontalpodautoscaler_info{%s,scaletargetref_kind="Deployment",scaletargetref_name="llama-70b"} 1
kube_horizontalpodautoscaler_status_current_replicas{%s} 2
kube_horizontalpodautoscaler_status_desired_replicas{%s} 3
kube_horizontalpodautoscaler_spec_min_replicas{%s} 1
kube_horizontalpodautoscaler_spec_max_replicas{%s} 8
kube_horizontalpodautoscaler_spec_target_metric{%s,metric_name="gpu_utilization",metric_target_type="average"} 40
kube_horizontalpodautoscaler_status_target_metric{%s,metric_name="gpu_utilization",metric_target_type="average"} 50
kube_horizontalpodautoscaler_status_condition{%s,condition="ScalingActive",status="true"} 1
kube_horizontalpodautoscaler_status_condition{%s,condition="ScalingActive",status="false"} 0
"""
SERVER = """
vllm:num_requests_waiting{%s} 7
vllm:num_requests_running{%s} 2
vllm:kv_cache_usage_perc{%s} 0.4
vllm:generation_tokens_total{%s} 1000
vllm:time_to_first_token_seconds_bucket{%s,le="+Inf"} 9
vllm:time_to_first_token_seconds_count{%s} 9
vllm:e2e_request_latency_seconds_bucket{%s,le="+Inf"} 9
vllm:e2e_request_latency_seconds_count{%s} 9
"""
IDLE_SERVER = """
vllm:num_requests_waiting{%s} 0
vllm:num_requests_running{%s} 0
"""
OTHER_RUNTIMES = """
sglang:num_queue_reqs{model_name="m",engine_type="unified",dp_rank="0",tp_rank="0"} 1
sglang:generation_tokens_total{model_name="m",is_streaming="True"} 9
nv_inference_pending_request_count{model="m",version="1"} 1
ray_serve_replica_processing_queries{application="a",deployment="d",replica="r",WorkerId="w"} 1
ray_serve_deployment_processing_latency_ms_count{application="a",deployment="d",replica="r",WorkerId="w",route="/"} 1
ray_vllm_num_requests_waiting{model_name="m",engine="0",ReplicaId="r",WorkerId="w"} 1
"""
"""One of each runtime's shapes, for the labels that queries name."""


def other_series() -> str:
    """Return what kube-state-metrics and a model server tell, in the namespace of each style."""
    text = OTHER_RUNTIMES
    for style in SCRAPED_STYLES:
        ours = f'namespace="{namespace_of(style)}"'
        text += HPA.replace("%s", f'{ours},horizontalpodautoscaler="llama"')
        text += SERVER.replace("%s", f'{ours},pod="{POD}",model_name="llama",engine="0"')
        text += IDLE_SERVER.replace("%s", f'{ours},pod="{IDLE}",model_name="llama",engine="0"')
    return text


def variables(style: str) -> dict[str, str]:
    """Return what is chosen in each dashboard, so that only series of this style's exporter answer."""
    return {
        "node": f"node-{style}",
        "gpu": ".*",
        "model": ".*",
        "namespace": namespace_of(style),
        "pod": ".+",
        "hpa": "llama",
        "workload": "llama-70b",
    }


@dataclass(frozen=True, slots=True)
class Lab:
    """A Prometheus, and the exporters' addresses by their label style."""

    prometheus: Prometheus
    exporters: Mapping[str, str]


def _counters(style: str) -> str:
    """Return the counters file of a style, with the rows that the chart's healthCounters adds."""
    file = "dcgm-4.9-counters.csv" if style == "4.9" else "default-counters.csv"
    return (PACKAGED / file).read_text() + (CHART / "files/health-counters.csv").read_text()


def _scrapes(exporters: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the chart's monitor with and without honorLabels, and one made by hand, whose job is the same."""
    honoured, renamed, by_hand = [], [], []
    for style, address in exporters.items():
        own = {"pod": f"exporter-{style}", "namespace": "monitoring", "container": "exporter"}
        chart = {"job": JOB, "exporter_pod": f"exporter-{style}"}
        by_hand.append({"targets": [address], "labels": {"job": JOB, **own}})
        if style == "renamed":
            renamed.append({"targets": [address], "labels": chart | own})
        else:
            honoured.append({"targets": [address], "labels": chart})
    return [
        {"job_name": "honoured", "honor_labels": True, "static_configs": honoured},
        {"job_name": "renamed", "honor_labels": False, "static_configs": renamed},
        {"job_name": "by-hand", "honor_labels": False, "static_configs": by_hand},
    ]


@contextmanager
def running_lab(folder: Path, rules: Mapping[str, Any]) -> Iterator[Lab]:
    """Run everything."""
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        exporters = {}
        for style, arguments in ARGUMENTS.items():
            patch.setenv("NODE_NAME", f"node-{style}")
            own = folder / style
            own.mkdir()
            counters = own / "counters.csv"
            counters.write_text(_counters(style))
            exporters[style] = stack.enter_context(mock_exporter(own, scenario(style), "-f", str(counters), *arguments))
        page = stack.enter_context(page_of_series(other_series()))
        others = {"job_name": "others", "honor_labels": True, "static_configs": [{"targets": [page]}]}
        jobs = [*_scrapes(exporters | {"gone": NOBODY}), others]
        yield Lab(stack.enter_context(prometheus(build("prometheus")["prometheus"], folder, jobs, rules)), exporters)
