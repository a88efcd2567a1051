"""The links to the API server: reaching it, rights, and the exporter's DaemonSets with their pods."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from exporter.doctor.finding import Finding, broken, holds, some, unseen
from exporter.doctor.surroundings import Object, Surroundings
from exporter.errors import KubeError, MissingExtra
from exporter.kube import Right, is_allowed

RIGHTS = (
    Right("list", "daemonsets", "apps"),
    Right("list", "pods"),
    Right("get", "pods", subresource="proxy"),
    Right("list", "nodes"),
    Right("list", "services"),
    Right("get", "services", subresource="proxy"),
    Right("list", "servicemonitors", "monitoring.coreos.com"),
    Right("list", "apiservices", "apiregistration.k8s.io"),
    Right("list", "deployments", "apps"),
    Right("get", "configmaps"),
    Right("list", "horizontalpodautoscalers", "autoscaling"),
    Right("list", "scaledobjects", "keda.sh"),
    Right("list", "pods", "custom.metrics.k8s.io"),
)
"""What this program reads."""

_IMAGE = re.compile(r"(?:^|/)(?:gpu-metrics-exporter|dcgm-exporter)(?::[^/]*)?(?:@.*)?$")
_GPU_RESOURCES = ("nvidia.com/gpu", "nvidia.com/mig-")
_INSTALL = "helm install dcgm-exporter ./chart -n monitoring; see chart/README.md."
_USE_KUBECONFIG = "Run doctor where there is a kubeconfig: --kubeconfig PATH, or KUBECONFIG."


@dataclass(frozen=True, slots=True)
class ExporterPod:
    """A pod of an exporter; `trouble` is why it is not ready, "" where it is."""

    namespace: str
    name: str
    node: str
    address: str
    port: int
    trouble: str = ""


def api(look: Surroundings) -> Iterator[Finding]:
    """Look whether the API server answers."""
    if look.api_trouble is None:
        yield holds(f"the API server answers: {look.api.host}")
    elif isinstance(look.api_trouble, MissingExtra):
        yield unseen(look.api_trouble.lack, f"{look.api_trouble.cure}.")
    elif look.is_in_pod:
        yield unseen(f"this pod can't reach the API server: {look.api_trouble}", _USE_KUBECONFIG)
    else:
        yield unseen(str(look.api_trouble), _USE_KUBECONFIG)


def rights(look: Surroundings) -> Iterator[Finding]:
    """Look what this user may read."""
    yield judge_rights([right for right in RIGHTS if not is_allowed(look.api, right)])


def judge_rights(lacking: Collection[Right]) -> Finding:
    """Say what this user may not look at; nothing of the exporter is broken by that."""
    if not lacking:
        return holds("this user may read everything that doctor needs")
    return unseen(
        f"this user may not {some(map(str, lacking), most=len(RIGHTS))}",
        "Use a kubeconfig with these rights; kubectl auth can-i --list shows yours.",
    )


def daemonset(look: Surroundings) -> Iterator[Finding]:
    """Look whether an exporter runs on each GPU node."""
    sets = exporter_sets(look)
    pods = exporter_pods(look)
    try:
        nodes = {one["metadata"]["name"] for one in look.objects("/api/v1/nodes") if _has_gpus(one)}
    except KubeError:
        nodes = set()
    yield from judge_daemonset(sets, pods, nodes)


def judge_daemonset(sets: Collection[Object], pods: Collection[ExporterPod], gpu_nodes: set[str]) -> Iterator[Finding]:
    """Say which GPU nodes have no exporter that runs."""
    if not sets:
        yield broken("no DaemonSet in the cluster runs this exporter or dcgm-exporter", _INSTALL)
        return
    names = some(f"{one['metadata']['namespace']}/{one['metadata']['name']}" for one in sets)
    without = gpu_nodes - {pod.node for pod in pods}
    for pod in pods:
        if pod.trouble:
            where = f"-n {pod.namespace} {pod.name}"
            yield broken(
                f"{pod.namespace}/{pod.name} on {pod.node or 'no node'} is not ready: {pod.trouble}",
                f"kubectl describe pod {where}; kubectl logs {where} --previous.",
            )
    if without:
        yield broken(
            f"{len(without)} of {len(gpu_nodes)} GPU nodes have no exporter of {names}: {some(without)}",
            "Compare nodeSelector, affinity and tolerations of the DaemonSet with the node's labels and taints.",
        )
    if not pods:
        yield broken(
            f"{names} has no pod", "Its nodeSelector or affinity matches no node: kubectl get nodes --show-labels."
        )
    elif not without and not any(pod.trouble for pod in pods):
        yield holds(f"{names}: all its pods are ready: {len(pods)}")


def exporter_sets(look: Surroundings) -> list[dict[str, Any]]:
    """Return the DaemonSets that run an exporter, by their image."""
    return [
        one
        for one in look.objects("/apis/apps/v1/daemonsets")
        if any(_IMAGE.search(container["image"]) for container in one["spec"]["template"]["spec"]["containers"])
    ]


def exporter_pods(look: Surroundings) -> list[ExporterPod]:
    """Return their pods."""
    found = []
    for one in exporter_sets(look):
        labels = one["spec"]["selector"].get("matchLabels", {})
        selector = ",".join(f"{name}={value}" for name, value in sorted(labels.items()))
        path = f"/api/v1/namespaces/{one['metadata']['namespace']}/pods"
        found += [_exporter_pod(pod) for pod in look.objects(path, labelSelector=selector) if not _is_ending(pod)]
    return found


def _exporter_pod(pod: Object) -> ExporterPod:
    container = next(one for one in pod["spec"]["containers"] if _IMAGE.search(one["image"]))
    ports = container.get("ports", ())
    port = next((one["containerPort"] for one in ports if one.get("name") == "metrics"), None)
    return ExporterPod(
        namespace=pod["metadata"]["namespace"],
        name=pod["metadata"]["name"],
        node=pod["spec"].get("nodeName", ""),
        address=pod.get("status", {}).get("podIP", ""),
        port=port or (ports[0]["containerPort"] if ports else 9400),
        trouble=why_not_ready(pod),
    )


def why_not_ready(pod: Object) -> str:
    """Return why a pod is not ready, in kubelet's and the scheduler's own words; "" where it is."""
    status = pod.get("status", {})
    conditions: Mapping[str, Object] = {one["type"]: one for one in status.get("conditions", ())}
    if conditions.get("Ready", {}).get("status") == "True":
        return ""
    for one in (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())):
        waiting = one.get("state", {}).get("waiting")
        if waiting:
            return ": ".join(filter(None, (waiting.get("reason"), waiting.get("message"))))
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False":
        return str(scheduled.get("message") or scheduled.get("reason"))
    return str(conditions.get("Ready", {}).get("message") or status.get("phase", "unknown"))


def holds_gpu(pod: Object) -> bool:
    """Tell whether a pod asks for a GPU: by a device plugin, or by DRA."""
    containers = pod["spec"]["containers"]
    limits = (name for one in containers for name in (one.get("resources", {}).get("limits") or {}))
    return any(name.startswith("nvidia.com/") or "gpu" in name for name in limits) or bool(
        pod["spec"].get("resourceClaims")
    )


def _has_gpus(node: Object) -> bool:
    capacity = node.get("status", {}).get("capacity", {})
    return any(name.startswith(_GPU_RESOURCES) and count != "0" for name, count in capacity.items())


def _is_ending(pod: Object) -> bool:
    return "deletionTimestamp" in pod["metadata"] or pod.get("status", {}).get("phase") in {"Failed", "Succeeded"}
