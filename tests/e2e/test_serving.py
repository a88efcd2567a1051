"""The guide's serving half: a model server's own queue, through the adapter and through KEDA."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.breakages import OTHER_RULES, applied
from tests.e2e.cases import Table
from tests.e2e.cluster import Cluster
from tests.e2e.configuration import CHARTS, load_when, running, written
from tests.e2e.guide_commands import apply, health_of_targets, last_line, metrics_of_pods
from tests.e2e.guide_files import merged_rules, serving_autoscaler
from tests.e2e.port_forward import fetch, port_forward
from tests.e2e.prometheus import NAME
from tests.e2e.release import serverless
from tests.e2e.workloads import GATEWAY, MODEL_SERVER, Workload, deployment, service
from tests.waiting import NotYet, wait_for

WITHIN_S = 120.0
SERVER = "vllm-inference"
HPA = f"{SERVER}-hpa"
CHARTS_MONITORS = ("gateway-metrics", "model-metrics", "vllm-inference-metrics")
SHORT_S = 5
BEYOND_DEFAULT_S = 13  # by then an autoscaler without a window of its own has scaled down: FAST's 10 s and half a sync


@pytest.fixture
def server(cluster: Cluster) -> Workload:
    """The guide's model server, with four requests that wait."""
    cluster.kubectl("apply", manifests=[deployment(SERVER, "inference", MODEL_SERVER), service(SERVER, "inference")])
    cluster.requests.set("inference", SERVER, 4)
    return Workload(cluster, SERVER, "inference")


def test_queue_depth_through_the_adapter(cluster: Cluster, server: Workload, table: Table) -> None:
    with guides_monitor(cluster, table, beside=CHARTS_MONITORS):
        with port_forward(cluster, f"svc/{NAME}", 9090, "/-/ready"):
            table.becomes("queue: targets, chart's and guide's", "up up", lambda: health_of_targets(SERVER), WITHIN_S)
            table.becomes("queue: vllm:num_requests_waiting", "4", see_waiting, WITHIN_S)
        table.becomes("queue: inference_queue_depth", "4", lambda: server.metric("inference_queue_depth"), WITHIN_S)
        apply(cluster, table, "inference-queue-hpa.yaml", f"horizontalpodautoscaler.autoscaling/{HPA}")
        hpa_shows(r".* 4/5 .*1 8 1 .*", cluster, table)
        table.stays("queue: replicas at 4 of 5 waiting", "1", server.replicas, 7)
        cluster.requests.set("inference", SERVER, 14)
        table.becomes("queue: replicas with 14 waiting", "3", server.replicas, WITHIN_S)
        hpa_shows(r".* 466[67]m/5 .*1 8 3 .*", cluster, table)
        scale_down(cluster, server, table)


def scale_down(cluster: Cluster, server: Workload, table: Table) -> None:
    cluster.requests.set("inference", SERVER, 0)
    hpa_shows(r".* 0/5 .*1 8 3 .*", cluster, table)
    table.stays("queue: replicas within the guide's 300 s", "3", server.replicas, BEYOND_DEFAULT_S)
    cluster.kubectl("apply", manifests=[serving_autoscaler(SHORT_S)])
    table.becomes(f"queue: replicas with {SHORT_S} s in their place", "1", server.replicas, WITHIN_S)


def hpa_shows(line: str, cluster: Cluster, table: Table) -> None:
    table.becomes(f"queue: kubectl get hpa {HPA}", re.compile(line), lambda: see_hpa(cluster), WITHIN_S)


def test_queue_depth_through_the_guides_scaledobject(cluster: Cluster, server: Workload, table: Table) -> None:
    apply(cluster, table, "scaledobject-vllm.yaml", f"scaledobject.keda.sh/{SERVER}")
    own = f"keda-hpa-{SERVER}"
    table.becomes("KEDA: HPA made of it", re.compile(r".*/5 .*1 8 \d .*"), lambda: see_hpa(cluster, own), WITHIN_S)
    cluster.requests.set("inference", SERVER, 14)
    table.becomes("KEDA: replicas with 14 waiting", "3", server.replicas, WITHIN_S)
    cluster.requests.set("inference", SERVER, 0)
    table.becomes("KEDA: replicas with none waiting", "1", server.replicas, WITHIN_S)


def test_keda_scales_to_zero_and_back(cluster: Cluster, table: Table) -> None:
    model = Workload(cluster, "model", "serverless")
    for name, container in {"gateway": GATEWAY, "model": MODEL_SERVER}.items():
        cluster.requests.set("serverless", name, 0)
        cluster.kubectl("apply", manifests=[deployment(name, "serverless", container), service(name, "serverless")])
    with cluster.values(autoscaling=[serverless()]):
        table.becomes("to zero: replicas while nobody asks", "0", model.replicas, WITHIN_S)
        cluster.requests.set("serverless", "gateway", 1)
        table.becomes("to zero: replicas when one asks", "1", model.replicas, WITHIN_S)
        cluster.requests.set("serverless", "model", 14)
        table.becomes("to zero: replicas with 14 waiting", "3", model.replicas, WITHIN_S)
        cluster.requests.set("serverless", "model", 0)
        table.becomes("to zero: replicas with none waiting", "1", model.replicas, WITHIN_S)
        cluster.requests.set("serverless", "gateway", 0)
        table.becomes("to zero: replicas when nobody asks any more", "0", model.replicas, WITHIN_S)


@pytest.mark.full
def test_guides_monitor_and_merged_rules_alone(cluster: Cluster, server: Workload, table: Table) -> None:
    case = "guide's serving files"
    try:
        with (
            applied(cluster, merged_rules()),
            cluster.values(**OTHER_RULES, servingMonitors=[]),
            guides_monitor(cluster, table),
        ):
            table.becomes(
                f"{case}: metrics of pods",
                "pods/gpu_utilization pods/inference_queue_depth",
                lambda: metrics_of_pods(cluster, "pods/"),
                WITHIN_S,
            )
            apply(cluster, table, "inference-queue-hpa.yaml", f"horizontalpodautoscaler.autoscaling/{HPA}")
            cluster.requests.set("inference", SERVER, 14)
            table.becomes(f"{case}: replicas with 14 waiting", "3", server.replicas, WITHIN_S)
    finally:
        load_serving_when(cluster, CHARTS_MONITORS)


@contextmanager
def guides_monitor(cluster: Cluster, table: Table, beside: tuple[str, ...] = ()) -> Iterator[None]:
    """Have the guide's ServiceMonitor of the model server, in a Prometheus that follows it, beside others or alone."""
    apply(cluster, table, "servicemonitor-vllm.yaml", f"servicemonitor.monitoring.coreos.com/{SERVER}")
    try:
        load_serving_when(cluster, (*beside, SERVER))
        yield
    finally:
        cluster.kubectl("delete", "servicemonitor", SERVER, "-n", "inference")


def load_serving_when(cluster: Cluster, monitors: tuple[str, ...]) -> None:
    """Wait for these ServiceMonitors of model servers, and let Prometheus load them at once."""
    wait_for(f"a configuration with {monitors}", lambda: must_name(written(cluster), monitors), WITHIN_S)
    load_when(cluster, CHARTS)
    wait_for(f"Prometheus with {monitors}", lambda: must_name(running(), monitors), WITHIN_S)


def must_name(configuration: str, monitors: tuple[str, ...]) -> None:
    seen = re.findall(r"- job_name: serviceMonitor/(?:inference|serverless)/([^/]+)/", configuration)
    if sorted(seen) != sorted(monitors):
        raise NotYet(str(seen))


def see_waiting() -> str:
    """Return the requests that wait, as a query through the forwarded port finds them: one number for each series."""
    found = json.loads(
        fetch('http://localhost:9090/api/v1/query?query=vllm:num_requests_waiting{namespace="inference"}')
    )
    return " ".join(one["value"][1] for one in found["data"]["result"])


def see_hpa(cluster: Cluster, name: str = HPA) -> str:
    return last_line(cluster, "get", "hpa", name, "-n", "inference")
