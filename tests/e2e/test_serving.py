"""The guide's serving half: a model server's own queue, through the adapter and through KEDA."""

import re

from tests.cluster.waiting import NotYet
from tests.e2e.cases import Table
from tests.e2e.cluster import Cluster
from tests.e2e.prometheus import URL
from tests.e2e.release import serverless
from tests.e2e.workloads import GATEWAY, MODEL_SERVER, Workload, autoscaler, deployment, service

WITHIN_S = 120.0
SERVER = "vllm-inference"


def test_queue_depth_through_the_adapter(cluster: Cluster, table: Table) -> None:
    server = Workload(cluster, SERVER, "inference")
    manifests = [deployment(SERVER, "inference", MODEL_SERVER), service(SERVER, "inference")]
    cluster.kubectl("apply", manifests=[*manifests, autoscaler(SERVER, "inference", {"inference_queue_depth": "5"})])
    cluster.requests.set("inference", SERVER, 4)
    table.becomes(
        "queue: inference_queue_depth of a pod", "4", lambda: server.metric("inference_queue_depth"), WITHIN_S
    )
    table.stays("queue: replicas at 4 of 5 waiting", "1", server.replicas, 12)
    cluster.requests.set("inference", SERVER, 14)
    table.becomes("queue: replicas with 14 waiting", "3", server.replicas, WITHIN_S)
    table.becomes("queue: kubectl get hpa", re.compile(r".* 466[67]m/5 .*1 4 3 .*"), lambda: see_hpa(cluster), WITHIN_S)
    cluster.requests.set("inference", SERVER, 0)
    table.becomes("queue: replicas with none waiting", "1", server.replicas, WITHIN_S)


def test_queue_depth_through_the_guides_scaledobject(cluster: Cluster, table: Table) -> None:
    server = Workload(cluster, SERVER, "inference")
    manifests = [deployment(SERVER, "inference", MODEL_SERVER), service(SERVER, "inference")]
    cluster.kubectl("apply", manifests=[*manifests, scaled_object()])
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


def see_hpa(cluster: Cluster) -> str:
    lines = cluster.kubectl("get", "hpa", f"{SERVER}-hpa", "-n", "inference").splitlines()
    if len(lines) < 2:
        raise NotYet("kubectl prints nothing")
    return " ".join(lines[-1].split())


def scaled_object() -> dict[str, object]:
    """Return the guide's ScaledObject, with the name that Prometheus has here."""
    query = f'sum(vllm:num_requests_waiting{{namespace="inference",pod=~"{SERVER}-.*"}})'
    metadata = {"serverAddress": URL, "metricName": "inference_queue_depth", "threshold": "5", "query": query}
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": SERVER, "namespace": "inference"},
        "spec": {
            "scaleTargetRef": {"name": SERVER},
            "minReplicaCount": 1,
            "maxReplicaCount": 8,
            "cooldownPeriod": 300,
            "triggers": [{"type": "prometheus", "metadata": metadata}],
        },
    }
