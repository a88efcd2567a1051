"""What people scale: Deployments of pods that hold GPUs, and their autoscalers as the guide writes them."""

from collections.abc import Mapping
from typing import Any

from tests.e2e.api import ApiError, Object, Unreachable
from tests.e2e.cluster import Cluster
from tests.e2e.model_server import PORT
from tests.waiting import NotYet

GPU = "nvidia.com/gpu"
SHARED_GPU = "nvidia.com/gpu.shared"
MIG_DEVICE = "nvidia.com/mig-1g.10gb"

GPU_WORK: Object = {"name": "work", "image": "gpu-work", "resources": {"limits": {GPU: "1"}}}
"""A container that kwok plays: it holds a GPU and does what the load says."""
MODEL_SERVER: Object = {
    "name": "server",
    "image": "model-server",
    "ports": [{"name": "http", "containerPort": PORT}],
    "resources": {"limits": {GPU: "1"}},
}
GATEWAY: Object = {**MODEL_SERVER, "args": ["--gateway"], "resources": {}}

_GPU_NODES = {"key": GPU, "operator": "Exists"}


def holding(resource: str, count: int = 1) -> Object:
    """Return GPU work that holds something else than a whole GPU."""
    return {**GPU_WORK, "resources": {"limits": {resource: str(count)}}}


def deployment(name: str, namespace: str, container: Object = GPU_WORK, **pod: Any) -> Object:
    """Return a Deployment of one pod."""
    labels = {"app": name}
    spec = {"containers": [container], "tolerations": [_GPU_NODES], "terminationGracePeriodSeconds": 1, **pod}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": spec}},
    }


def service(name: str, namespace: str) -> Object:
    """Return the Service of a model server."""
    head = {"name": name, "namespace": namespace, "labels": {"app": name}}
    spec = {"selector": {"app": name}, "ports": [{"name": "http", "port": PORT}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": head, "spec": spec}


def autoscaler(name: str, namespace: str, targets: Mapping[str, str] | None = None) -> Object:
    """Return an autoscaler of a Deployment, from 1 to 4 replicas, on metrics of its pods and what each aims at."""
    metrics = [
        {
            "type": "Pods",
            "pods": {"metric": {"name": metric}, "target": {"type": "AverageValue", "averageValue": value}},
        }
        for metric, value in (targets or {"gpu_utilization": "50"}).items()
    ]
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": f"{name}-hpa", "namespace": namespace},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicas": 1,
            "maxReplicas": 4,
            "metrics": metrics,
        },
    }


class Workload:
    """A Deployment in the cluster, as tests look at it."""

    def __init__(self, cluster: Cluster, name: str, namespace: str) -> None:
        self._cluster = cluster
        self.name = name
        self.namespace = namespace

    def replicas(self) -> str:
        """Return how many pods it has, once it has as many as it wants and all are ready."""
        found = self._ask(f"/apis/apps/v1/namespaces/{self.namespace}/deployments/{self.name}")
        wanted, status = found["spec"]["replicas"], found["status"]
        counts = {wanted, status.get("replicas", 0), status.get("readyReplicas", 0)}
        return str(wanted) if len(counts) == 1 else f"{status.get('readyReplicas', 0)} of {wanted} ready"

    def metric(self, name: str) -> str:
        """Return what the adapter says of its pods, in the order of their names: values and nothing else."""
        path = f"/apis/custom.metrics.k8s.io/v1beta2/namespaces/{self.namespace}/pods/*/{name}"
        found = self._ask(f"{path}?labelSelector=app%3D{self.name}")
        return " ".join(one["value"] for one in sorted(found, key=lambda one: str(one["describedObject"]["name"])))

    def utilization(self) -> str:
        """Return its pods' GPU utilization, as `metric` does."""
        return self.metric("gpu_utilization")

    def autoscaler_says(self) -> str:
        """Return the autoscaler's conditions: type, status, reason and message of each."""
        path = f"/apis/autoscaling/v2/namespaces/{self.namespace}/horizontalpodautoscalers/{self.name}-hpa"
        conditions = self._ask(path).get("status", {}).get("conditions", [])
        return "; ".join(" ".join(one[key] for key in ("type", "status", "reason", "message")) for one in conditions)

    def nodes(self) -> str:
        """Return the nodes of its pods that are not on their way out, in order."""
        pods = self._ask(f"/api/v1/namespaces/{self.namespace}/pods?labelSelector=app%3D{self.name}")
        return " ".join(
            sorted(pod["spec"].get("nodeName", "none") for pod in pods if "deletionTimestamp" not in pod["metadata"])
        )

    def _ask(self, path: str) -> Any:
        self._cluster.must_run()
        try:
            return self._cluster.api.get(path)
        except (ApiError, Unreachable) as error:
            raise NotYet(str(error)) from None
