"""Parts of the chain that are other than they should be: so while `with` lasts, and mended after it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tests.e2e.api import Object
from tests.e2e.cluster import Cluster
from tests.e2e.configuration import CHARTS, GUIDES, HONOURED, load_when, start_anew_when
from tests.e2e.guide_files import RULES, service_monitor
from tests.e2e.load import STEERING_PORT
from tests.e2e.prometheus import NAME, NAMESPACE, URL, must_follow
from tests.e2e.real_pod import RealPod
from tests.e2e.release import EXPORTER, RELEASE
from tests.e2e.workloads import GPU_WORK, autoscaler, deployment
from tests.waiting import wait_for

OTHER_RULES: Mapping[str, Any] = {"adapter": {"deploy": True, "rules": {"create": False, "name": RULES}}}
"""Values with which the adapter has the rules of the guide's ConfigMap and none of the chart's."""
WITHOUT_K: Mapping[str, Any] = {"extraEnv": [{"name": "DCGM_EXPORTER_KUBERNETES", "value": "false"}]}
"""Values with which the exporter does not ask who holds a GPU."""

_WITHIN_S = 120.0
_KIND_OF_APISERVICE = {"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService"}


@contextmanager
def applied(cluster: Cluster, *objects: Object) -> Iterator[None]:
    """Have objects in the cluster."""
    cluster.kubectl("apply", manifests=list(objects))
    try:
        yield
    finally:
        cluster.kubectl("delete", "--ignore-not-found", manifests=list(objects))


@contextmanager
def scraped_as_the_guide_says(cluster: Cluster, **values: object) -> Iterator[None]:
    """Have the guide's ServiceMonitor in the place of the chart's, in a Prometheus that has seen nothing else."""
    interval = cluster.plan.pace.scrape_interval
    no_monitor = {"enabled": False, "interval": interval, "scrapeTimeout": interval}
    try:
        with applied(cluster, service_monitor()), cluster.values(serviceMonitor=no_monitor, **values):
            start_anew_when(cluster, GUIDES)
            yield
    finally:
        start_anew_when(cluster, CHARTS)


@contextmanager
def scraped_twice(cluster: Cluster) -> Iterator[None]:
    """Have the guide's ServiceMonitor beside the chart's."""
    try:
        with applied(cluster, service_monitor()):
            load_when(cluster, f"{GUIDES} {CHARTS}")
            yield
    finally:
        start_anew_when(cluster, CHARTS)


def honour_labels_by_hand(cluster: Cluster, *others: str) -> None:
    """Write `honorLabels: true` into the guide's ServiceMonitor, which is there alone or beside others."""
    change = '[{"op": "add", "path": "/spec/endpoints/0/honorLabels", "value": true}]'
    cluster.kubectl("patch", "servicemonitor", GUIDES, "-n", NAMESPACE, "--type=json", f"--patch={change}")
    load_when(cluster, " ".join((f"{GUIDES}{HONOURED}", *others)))


@contextmanager
def labels_overridden(cluster: Cluster) -> Iterator[None]:
    """Have a Prometheus that honours no labels, whatever ServiceMonitors say."""
    _set_prometheus(cluster, {"overrideHonorLabels": True})
    try:
        load_when(cluster, CHARTS.removesuffix(HONOURED))
        yield
    finally:
        _set_prometheus(cluster, {"overrideHonorLabels": None})
        load_when(cluster, CHARTS)


@contextmanager
def without_prometheus(cluster: Cluster) -> Iterator[None]:
    """Have no pod of Prometheus."""
    _set_prometheus(cluster, {"replicas": 0})
    try:
        yield
    finally:
        _set_prometheus(cluster, {"replicas": None})
        wait_for("Prometheus", must_follow, _WITHIN_S)


@contextmanager
def without_adapter(cluster: Cluster) -> Iterator[None]:
    """Have an adapter that is installed and of which no pod runs."""
    _scale_adapter(cluster, 0)
    try:
        yield
    finally:
        _scale_adapter(cluster, 1)


@contextmanager
def exporters_fit_no_node(cluster: Cluster) -> Iterator[None]:
    """Have a DaemonSet whose pods no node takes."""
    path = f"/apis/apps/v1/namespaces/{NAMESPACE}/daemonsets/{RELEASE}"
    with patched(cluster, path, {"spec": {"template": {"spec": {"nodeSelector": {"nowhere": "yes"}}}}}):
        yield


@contextmanager
def exporter_hangs(cluster: Cluster) -> Iterator[None]:
    """Have an exporter on one node that answers nobody."""
    with exporter_on(cluster, "gpu1").frozen("exporter"):
        yield


@contextmanager
def gpu_lost(cluster: Cluster) -> Iterator[None]:
    """Have a GPU that has fallen off the bus."""
    exporter, url = exporter_on(cluster, "gpu0"), f"http://127.0.0.1:{STEERING_PORT}/gpus/5/faults"
    exporter.execute("curl", "-sSf", "-X", "POST", url, "-d", '{"kind": "lost"}')
    try:
        yield
    finally:
        exporter.execute("curl", "-sSf", "-X", "DELETE", url)


@contextmanager
def kubelet_silent(cluster: Cluster) -> Iterator[None]:
    """Have no socket of kubelet on one node."""
    socket = cluster.agent.kubelet_socket("gpu0")
    hidden = socket.rename(socket.with_suffix(".hidden"))
    try:
        yield
    finally:
        hidden.rename(socket)


@contextmanager
def prometheus_unreachable(cluster: Cluster) -> Iterator[None]:
    """Have a Service of Prometheus without a pod behind it."""
    path = f"/api/v1/namespaces/{NAMESPACE}/services/{NAME}"
    with patched(cluster, path, {"spec": {"selector": {"nowhere": "yes"}}}):
        yield


@contextmanager
def service_unselected(cluster: Cluster) -> Iterator[None]:
    """Have a Service of the exporter that no ServiceMonitor selects."""
    path = f"/api/v1/namespaces/{NAMESPACE}/services/{RELEASE}"
    label = "app.kubernetes.io/name"
    cluster.api.patch(path, {"metadata": {"labels": {label: None}}})
    try:
        yield
    finally:
        cluster.api.patch(path, {"metadata": {"labels": {label: RELEASE}}})


@contextmanager
def adapter_unregistered(cluster: Cluster) -> Iterator[None]:
    """Have an adapter of which the API server knows nothing."""
    path = "/apis/apiregistration.k8s.io/v1/apiservices"
    kept = [one for one in cluster.api.get(path) if one["spec"].get("group") == "custom.metrics.k8s.io"]
    for one in kept:
        cluster.api.delete(f"{path}/{one['metadata']['name']}")
    try:
        yield
    finally:
        for one in kept:
            head = {key: one["metadata"].get(key, {}) for key in ("name", "labels", "annotations")}
            cluster.api.create(path, {**_KIND_OF_APISERVICE, "metadata": head, "spec": one["spec"]})


@contextmanager
def metric_misspelt(cluster: Cluster) -> Iterator[None]:
    """Have an autoscaler that asks for a metric which nobody has."""
    hpa = autoscaler("infer", "team-a", {"gpu_utilisation": "50"})
    with _hpa_with(cluster, {"metrics": hpa["spec"]["metrics"]}):
        yield


@contextmanager
def target_missing(cluster: Cluster) -> Iterator[None]:
    """Have an autoscaler of a Deployment that is not there."""
    with _hpa_with(cluster, {"scaleTargetRef": {"name": "infra"}}):
        yield


@contextmanager
def pod_without_gpu(cluster: Cluster) -> Iterator[None]:
    """Have a Deployment without GPUs, and an autoscaler on their utilization."""
    with applied(cluster, deployment("web", "team-b", {**GPU_WORK, "resources": {}}), autoscaler("web", "team-b")):
        yield


@contextmanager
def pod_pending(cluster: Cluster) -> Iterator[None]:
    """Have a pod that no node takes, and its autoscaler."""
    nowhere = deployment("late", "team-b", nodeSelector={"nowhere": "yes"})
    with applied(cluster, nowhere, autoscaler("late", "team-b")):
        yield


@contextmanager
def scaled_object_paused(cluster: Cluster) -> Iterator[None]:
    """Have a ScaledObject that is told to rest."""
    paused = scaled_object("web", {"autoscaling.keda.sh/paused": "true"})
    with applied(cluster, deployment("web", "team-b", {**GPU_WORK, "resources": {}}), paused):
        yield


@contextmanager
def scaled_object_without_target(cluster: Cluster) -> Iterator[None]:
    """Have a ScaledObject of a Deployment that is not there."""
    with applied(cluster, scaled_object("nothing")):
        yield


def scaled_object(target: str, annotations: Mapping[str, str] | None = None) -> Object:
    """Return a ScaledObject of a Deployment in team-b, on a query of Prometheus."""
    trigger = {"serverAddress": URL, "query": "vector(1)", "threshold": "5"}
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": f"{target}-scaled", "namespace": "team-b", "annotations": annotations or {}},
        "spec": {"scaleTargetRef": {"name": target}, "triggers": [{"type": "prometheus", "metadata": trigger}]},
    }


@contextmanager
def patched(cluster: Cluster, path: str, change: Object) -> Iterator[None]:
    """Have an object with some more keys, each of which is new to it."""
    cluster.api.patch(path, change)
    try:
        yield
    finally:
        cluster.api.patch(path, _without(change))


def _without(change: Any) -> Any:
    """Return the merge patch that takes keys away again."""
    if not isinstance(change, dict):
        return None
    return {key: _without(value) for key, value in change.items()}


@contextmanager
def _hpa_with(cluster: Cluster, spec: Object) -> Iterator[None]:
    path = "/apis/autoscaling/v2/namespaces/team-a/horizontalpodautoscalers/infer-hpa"
    before = cluster.api.get(path)["spec"]
    cluster.api.patch(path, {"spec": spec})
    try:
        yield
    finally:
        cluster.api.patch(path, {"spec": {key: before[key] for key in spec}})


def exporter_on(cluster: Cluster, node: str) -> RealPod:
    """Return the exporter's pod of a node."""
    [found] = cluster.agent.real_pods(node, EXPORTER)
    return found


def _set_prometheus(cluster: Cluster, spec: Mapping[str, object]) -> None:
    path = f"/apis/monitoring.coreos.com/v1/namespaces/{NAMESPACE}/prometheuses/{NAME}"
    cluster.api.patch(path, {"spec": spec})


def _scale_adapter(cluster: Cluster, replicas: int) -> None:
    cluster.kubectl("scale", "deployment", "dcgm-exporter-adapter", "-n", NAMESPACE, f"--replicas={replicas}")
