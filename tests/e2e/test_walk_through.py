"""The guide, step by step: each of its commands with the answer that it promises."""

import re

import pytest

from tests.e2e.cases import Table
from tests.e2e.cluster import Cluster
from tests.e2e.guide_commands import apply, health_of_targets, last_line, metrics_of_pods
from tests.e2e.port_forward import fetch, port_forward
from tests.e2e.prometheus import NAME
from tests.e2e.workloads import Workload, deployment

WITHIN_S = 90.0


@pytest.fixture
def busy(cluster: Cluster) -> Cluster:
    """The guide's workload, 42 % busy."""
    cluster.kubectl("apply", manifests=[deployment("gpu-workload", "default")])
    cluster.load.set("default", 0.42)
    return cluster


def test_guide_steps_1_to_5(busy: Cluster, table: Table) -> None:
    table.becomes(
        "1: kubectl get daemonset dcgm-exporter",
        re.compile("dcgm-exporter 2 2 2 2 2 .*"),
        lambda: last_line(busy, "get", "daemonset", "dcgm-exporter", "-n", "monitoring"),
        WITHIN_S,
    )
    see_metrics_of_a_pod(busy, table)
    table.becomes(
        "2: kubectl get pods (Prometheus)",
        re.compile(r"prometheus-kube-prometheus-kube-prome-prometheus-0 2/2 Running .*"),
        lambda: last_line(busy, "get", "pods", "-n", "monitoring", "-l", "app.kubernetes.io/name=prometheus"),
        WITHIN_S,
    )
    with port_forward(busy, f"svc/{NAME}", 9090, "/-/ready"):
        table.becomes("3: targets of Prometheus", "up up", lambda: health_of_targets("dcgm-exporter"), WITHIN_S)
    table.becomes(
        "4: kubectl get --raw custom.metrics.k8s.io",
        re.compile(r"(.* )?pods/gpu_utilization( .*)?"),
        lambda: metrics_of_pods(busy, "gpu"),
        WITHIN_S,
    )
    apply(busy, table, "gpu-hpa.yaml", "horizontalpodautoscaler.autoscaling/gpu-workload-hpa")
    table.becomes(
        "5: kubectl get hpa gpu-workload-hpa",
        re.compile(r"gpu-workload-hpa Deployment/gpu-workload 42/50 (\(avg\) )?1 4 1 .*"),
        lambda: last_line(busy, "get", "hpa", "gpu-workload-hpa"),
        WITHIN_S,
    )


def see_metrics_of_a_pod(cluster: Cluster, table: Table) -> None:
    work = Workload(cluster, "gpu-workload", "default")
    node = table.becomes("1: node of the workload's pod", re.compile(r"gpu\d"), work.nodes, WITHIN_S)
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
