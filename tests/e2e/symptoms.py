"""What can be seen of gpu_utilization on its way: in Prometheus, in the custom metrics API, in the autoscaler's words.

docs/troubleshooting.md quotes those words and explains them. Where it matters which node falls silent, pods are spread.
"""

import re

from tests.e2e.api import ApiError, Object, Unreachable
from tests.e2e.cluster import Cluster
from tests.e2e.prometheus import query
from tests.e2e.workloads import Workload
from tests.waiting import NotYet

FOUND = "True ValidMetricFound"

BEGINNING = "the HPA was unable to compute the replica count: unable to get metric gpu_utilization: "
_FROM_THE_API = "unable to fetch metrics from custom metrics API: "

UNKNOWN_METRIC = "the server could not find the metric gpu_utilization for pods"
NO_VALUE = "no metrics returned from custom metrics API"
NO_API = "no custom metrics API (custom.metrics.k8s.io) registered"
NO_ADAPTER = "no known available metric versions found"
NO_PROMETHEUS = "Internal error occurred: unable to fetch metrics"

ENDS = {
    NO_VALUE: NO_VALUE,
    **{end: _FROM_THE_API + end for end in (UNKNOWN_METRIC, NO_API, NO_ADAPTER, NO_PROMETHEUS)},
}
"""How the messages go on, by what tells them apart."""

_ACTIVE = re.compile(
    r"(?:^|; )ScalingActive (?P<status>\w+) (?P<reason>\w+) (?P<message>.*?)(?:; \w+ (?:True|False) |$)"
)


def scaling_active(work: Workload) -> str:
    """Return the condition ScalingActive of a workload's autoscaler.

    Returns:
        FOUND; one of ENDS' keys where exactly that message stands with `False FailedGetPodsMetric`; else all of it.
    """
    found = _ACTIVE.search(work.autoscaler_says())
    if found is None:
        raise NotYet("no condition ScalingActive")
    status, reason, message = found.group("status", "reason", "message")
    if f"{status} {reason}" == FOUND:
        return FOUND
    if f"{status} {reason}" == "False FailedGetPodsMetric":
        return next((key for key, end in ENDS.items() if BEGINNING + end == message), message)
    return f"{status} {reason} {message}"


def last_scaled(cluster: Cluster, work: Workload) -> str:
    """Return when a workload's autoscaler has changed the number of replicas for the last time."""
    path = f"/apis/autoscaling/v2/namespaces/{work.namespace}/horizontalpodautoscalers/{work.name}-hpa"
    status = cluster.api.get(path)["status"]
    return str(status.get("lastScaleTime", "never"))


def series(matchers: str = "", at_s: float | None = None) -> str:
    """Return how many series of GPU utilization Prometheus has, or had at a time of the Unix clock."""
    when = "" if at_s is None else f" @ {at_s:.3f}"
    return f"{query(f'count(DCGM_FI_DEV_GPU_UTIL{{{matchers}}}{when}) or vector(0)')[0][1]:g}"


def holders(cluster: Cluster, namespace: str) -> str:
    """Return the names of the pods of a namespace that have a gpu_utilization."""
    path = f"/apis/custom.metrics.k8s.io/v1beta2/namespaces/{namespace}/pods/*/gpu_utilization"
    try:
        found = cluster.api.get(path)
    except (ApiError, Unreachable) as error:
        raise NotYet(str(error)) from None
    return " ".join(sorted(one["describedObject"]["name"] for one in found)) or "none"


def known_gpu_metrics(cluster: Cluster) -> str:
    """Return what the guide's `kubectl get --raw … | jq … | grep gpu` prints, or kubectl's own words where it fails."""
    try:
        answer = cluster.kubectl("get", "--raw", "/apis/custom.metrics.k8s.io/v1beta1")
    except RuntimeError as error:
        return str(error).partition("Error from server ")[2]
    return " ".join(re.findall(r'"(pods/gpu_[a-z_]+)"', answer)) or "nothing"


def spread_over_nodes(app: str) -> Object:
    """Return the pod's part of a Deployment that lets its pods go to different nodes, as long as there are some."""
    constraint = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": {"app": app}},
    }
    return {"topologySpreadConstraints": [constraint]}
