"""The guide, step by step: each of its commands with the answer that it promises."""

import json
import re

import pytest

from tests.cluster.waiting import NotYet
from tests.e2e.cases import Table
from tests.e2e.cluster import Cluster
from tests.e2e.port_forward import fetch, port_forward
from tests.e2e.prometheus import NAME
from tests.e2e.workloads import autoscaler, deployment

WITHIN_S = 90.0


@pytest.fixture
def busy(cluster: Cluster) -> Cluster:
    """The guide's workload, 42 % busy."""
    cluster.kubectl("apply", manifests=[deployment("gpu-workload", "default")])
    cluster.load.set("default", 0.42)
    return cluster


def kubectl(cluster: Cluster, *arguments: str) -> str:
    """Return the last line that kubectl prints, its columns apart by one space."""
    lines = cluster.kubectl(*arguments).splitlines()
    if not lines:
        raise NotYet("kubectl prints nothing")
    return " ".join(lines[-1].split())


def test_guide_steps_1_to_5(busy: Cluster, table: Table) -> None:
    table.becomes(
        "1: kubectl get daemonset dcgm-exporter",
        re.compile("dcgm-exporter 2 2 2 2 2 .*"),
        lambda: kubectl(busy, "get", "daemonset", "dcgm-exporter", "-n", "monitoring"),
        WITHIN_S,
    )
    see_metrics_of_a_pod(busy, table)
    table.becomes(
        "2: kubectl get pods (Prometheus)",
        re.compile(r"prometheus-kube-prometheus-kube-prome-prometheus-0 2/2 Running .*"),
        lambda: kubectl(busy, "get", "pods", "-n", "monitoring", "-l", "app.kubernetes.io/name=prometheus"),
        WITHIN_S,
    )
    with port_forward(busy, f"svc/{NAME}", 9090, "/-/ready"):
        table.becomes("3: targets of Prometheus", "up up", see_targets, WITHIN_S)
    table.becomes(
        "4: kubectl get --raw custom.metrics.k8s.io",
        re.compile(".*pods/gpu_utilization .*"),
        lambda: see_custom_metrics(busy),
        WITHIN_S,
    )
    busy.kubectl("apply", manifests=[autoscaler("gpu-workload", "default")])
    table.becomes(
        "5: kubectl get hpa gpu-workload-hpa",
        re.compile(r"gpu-workload-hpa Deployment/gpu-workload 42/50 (\(avg\) )?1 4 1 .*"),
        lambda: kubectl(busy, "get", "hpa", "gpu-workload-hpa"),
        WITHIN_S,
    )


def see_metrics_of_a_pod(cluster: Cluster, table: Table) -> None:
    [node] = {pod["spec"]["nodeName"] for pod in cluster.get("pods", "-n=default")["items"]}
    labels = "app.kubernetes.io/name=dcgm-exporter"
    where = ("-l", labels, "-n", "monitoring", f"--field-selector=spec.nodeName={node}")
    pod = cluster.kubectl("get", "pods", *where, "-o", "jsonpath={.items[0].metadata.name}")
    with port_forward(cluster, pod, 9400, "/ready"):
        table.becomes(
            "1: curl localhost:9400/metrics",
            re.compile(r'DCGM_FI_DEV_GPU_UTIL\{gpu="0",.*namespace="default",pod="gpu-workload-[^"]+".*\} 42'),
            lambda: first_line("DCGM_FI_DEV_GPU_UTIL{", fetch("http://localhost:9400/metrics")),
            WITHIN_S,
        )


def first_line(start: str, page: str) -> str:
    return next((line for line in page.splitlines() if line.startswith(start)), "no such series")


def see_targets() -> str:
    answer = json.loads(fetch("http://localhost:9090/api/v1/targets?state=active"))
    return " ".join(one["health"] for one in answer["data"]["activeTargets"] if "dcgm-exporter" in one["scrapePool"])


def see_custom_metrics(cluster: Cluster) -> str:
    answer = json.loads(cluster.kubectl("get", "--raw", "/apis/custom.metrics.k8s.io/v1beta1"))
    names = (one["name"] for one in answer["resources"])
    return " ".join(name for name in names if "gpu" in name) + " "
