"""Parts of the chain that are other than they should be: so while `with` lasts, and mended after it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tests.e2e.api import Object
from tests.e2e.cluster import Cluster
from tests.e2e.configuration import CHARTS, GUIDES, HONOURED, load_when, start_anew_when
from tests.e2e.guide_files import RULES, service_monitor
from tests.e2e.prometheus import NAME, NAMESPACE, must_follow
from tests.e2e.real_pod import RealPod
from tests.e2e.release import EXPORTER
from tests.waiting import wait_for

OTHER_RULES: Mapping[str, Any] = {"adapter": {"deploy": True, "rules": {"create": False, "name": RULES}}}
"""Values with which the adapter has the rules of the guide's ConfigMap and none of the chart's."""
WITHOUT_K: Mapping[str, Any] = {"extraEnv": [{"name": "DCGM_EXPORTER_KUBERNETES", "value": "false"}]}
"""Values with which the exporter does not ask who holds a GPU."""

_WITHIN_S = 120.0


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


def exporter_on(cluster: Cluster, node: str) -> RealPod:
    """Return the exporter's pod of a node."""
    [found] = cluster.agent.real_pods(node, EXPORTER)
    return found


def _set_prometheus(cluster: Cluster, spec: Mapping[str, object]) -> None:
    path = f"/apis/monitoring.coreos.com/v1/namespaces/{NAMESPACE}/prometheuses/{NAME}"
    cluster.api.patch(path, {"spec": spec})


def _scale_adapter(cluster: Cluster, replicas: int) -> None:
    cluster.kubectl("scale", "deployment", "dcgm-exporter-adapter", "-n", NAMESPACE, f"--replicas={replicas}")
