"""The last links: the value of each pod, what each HorizontalPodAutoscaler decides, and KEDA's ScaledObjects."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

from exporter.doctor.adapter_look import CUSTOM, EXTERNAL, autoscalers, find_adapter
from exporter.doctor.cluster import holds_gpu, why_not_ready
from exporter.doctor.decision import (
    Bounds,
    Proposal,
    TargetPod,
    Tolerance,
    decide,
    propose_for_pods,
    propose_for_total,
    propose_for_value,
    thousandths,
)
from exporter.doctor.finding import Finding, broken, holds, some, unseen
from exporter.doctor.quantity import parse_quantity
from exporter.doctor.surroundings import Object, Surroundings
from exporter.errors import KubeError

CURES: Mapping[str, str] = {
    "FailedGetScale": "The target in scaleTargetRef does not exist: set it to the kind and name of the Deployment.",
    "FailedGetPodsMetric": "Fix the first broken link above; the autoscaler then continues by itself within 15 s.",
    "FailedGetObjectMetric": "Fix the first broken link above; the autoscaler then continues by itself within 15 s.",
    "FailedGetExternalMetric": "See keda: the server of external.metrics.k8s.io returns no value.",
    "FailedGetResourceMetric": "CPU and memory come from metrics-server: install it, and set requests for the pods.",
    "AmbiguousSelector": "Two autoscalers select the same pods: delete one.",
    "InvalidSelector": "The target has no pod selector: scaleTargetRef must name a workload with pods.",
}
"""What to do about each reason of a condition that is False."""


class Scaled(NamedTuple):
    """What an autoscaler scales: replicas that are wanted, those that are there, and its pods."""

    wanted: int
    there: int
    pods: Sequence[Object]
    selector: str


def scaled_by(look: Surroundings, hpa: Object) -> Scaled | None:
    """Return what an autoscaler scales; None where it is not there, or is of a kind that is not known.

    Raises:
        KubeError: It can't be read.
    """
    ref, namespace = hpa["spec"]["scaleTargetRef"], hpa["metadata"]["namespace"]
    version = ref.get("apiVersion") or "apps/v1"
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    scale = look.entry(f"{root}/namespaces/{quote(namespace)}/{ref['kind'].lower()}s/{quote(ref['name'])}/scale")
    if scale is None:
        return None
    selector = scale["status"].get("selector", "")
    pods = look.objects(f"/api/v1/namespaces/{quote(namespace)}/pods", labelSelector=selector) if selector else []
    return Scaled(scale["spec"].get("replicas", 0), scale["status"].get("replicas", 0), pods, selector)


def values_of(look: Surroundings, namespace: str, metric: str, selector: str) -> dict[str, int]:
    """Return the value of each pod in thousandths.

    Raises:
        KubeError: They can't be read.
    """
    adapter = find_adapter(look)
    if not adapter.service or adapter.trouble:
        raise KubeError("this needs the adapter")
    path = f"/apis/{CUSTOM}/{adapter.versions[0]}/namespaces/{quote(namespace)}/pods/*/{quote(metric)}"
    found = look.entry(path, labelSelector=selector) or {}
    return {one["describedObject"]["name"]: milli(one["value"]) for one in found.get("items") or ()}


def milli(quantity: object) -> int:
    """Return a quantity in thousandths, rounded up as Kubernetes does it.

    Raises:
        ValueError: It is none.
    """
    return math.ceil(parse_quantity(str(quantity)) * 1000)


def values(look: Surroundings) -> Iterator[Finding]:
    """Look which pods have a value of what their autoscaler asks for."""
    asked = 0
    for hpa in autoscalers(look):
        for metric in _of_type(hpa, "Pods"):
            asked += 1
            yield _look_at_values(look, hpa, metric["pods"]["metric"]["name"])
    if not asked:
        yield holds("no HorizontalPodAutoscaler uses a pod metric")


def _look_at_values(look: Surroundings, hpa: Object, metric: str) -> Finding:
    namespace = hpa["metadata"]["namespace"]
    scaled = scaled_by(look, hpa)
    if scaled is None:
        return unseen(f"{place_of(hpa)} has a target that does not exist")
    found = values_of(look, namespace, metric, scaled.selector)
    return judge_values(f"{metric} of {place_of(hpa)}", found, scaled.pods)


def judge_values(what: str, found: Mapping[str, int], pods: Sequence[Object]) -> Finding:
    """Say which pods have no value, and why."""
    counted = [pod for pod in pods if not _is_ignored(pod)]
    without = {
        pod["metadata"]["name"]: _why_no_value(pod, what) for pod in counted if pod["metadata"]["name"] not in found
    }
    texts = [f"{name} {thousandths(value)}" for name, value in sorted(found.items())]
    if without:
        name, (why, cure) = min(without.items())
        beside = f"; others: {some(texts)}" if found else ""
        return broken(
            f"{what}: no value for {len(without)} of {len(counted)} pods, for example {name}: {why}{beside}", cure
        )
    if not found:
        return unseen(f"{what}: there is no pod", "Scale the Deployment to one replica, or check why it has no pods.")
    return holds(f"{what}: {some(texts)}")


def _why_no_value(pod: Object, what: str) -> tuple[str, str]:
    trouble = why_not_ready(pod)
    if pod.get("status", {}).get("phase") == "Pending":
        return f"it has not started, {trouble}", "kubectl describe pod: maybe no node has a free GPU."
    if what.startswith("gpu_") and not holds_gpu(pod):
        return (
            "it holds no GPU",
            "Request one in the pod's limits: nvidia.com/gpu: 1. A GPU that no pod holds counts for no pod.",
        )
    node = pod["spec"].get("nodeName", "")
    return (
        f"no series came from node {node}",
        "A new pod needs a scrape and an adapter query. Else check the node's exporter and the first broken link.",
    )


def hpa(look: Surroundings) -> Iterator[Finding]:
    """Look what each autoscaler says of itself, and what it decides with the numbers it has."""
    found = autoscalers(look)
    for one in found:
        try:
            decision = _decision(look, one)
        except KubeError as error:
            decision = f"its decision is not known: {error}"
        yield judge_hpa(one, decision)
    if not found:
        yield holds("no HorizontalPodAutoscaler uses pod metrics or metrics from Prometheus")


def judge_hpa(hpa: Object, decision: str) -> Finding:
    """Say whether an autoscaler works, and what it decides."""
    seen = f"{place_of(hpa)} {decision}"
    conditions = hpa.get("status", {}).get("conditions") or ()
    if not conditions:
        return unseen(f"{seen}; no controller has handled it yet", "The controller looks every 15 s.")
    for one in conditions:
        is_broken = one["type"] in {"ScalingActive", "AbleToScale"} and one["status"] != "True"
        if is_broken and one.get("reason") != "ScalingDisabled":
            cure = CURES.get(one.get("reason", ""), "See kubectl describe hpa.")
            return broken(f"{seen}. It says: {one.get('reason')}: {one.get('message')}", cure)
    return holds(seen)


def _decision(look: Surroundings, hpa: Object) -> str:
    scaled = scaled_by(look, hpa)
    if scaled is None:
        ref = hpa["spec"]["scaleTargetRef"]
        return f"scales {ref['kind']} {ref['name']}, which does not exist"
    if scaled.wanted == 0 and hpa["spec"].get("minReplicas", 1) != 0:
        return "does nothing while its target has 0 replicas"
    metrics = hpa["spec"].get("metrics") or ()
    known = [one for one in metrics if one["type"] in {"Pods", "External"}]
    proposals = [_proposal(look, hpa, one, scaled) for one in known]
    left_out = [_name_of(one) for one in metrics if one not in known]
    bounds = Bounds(hpa["spec"].get("minReplicas", 1), hpa["spec"]["maxReplicas"], scaled.wanted)
    if not proposals:
        return f"uses {some(left_out)}, which doctor does not compute"
    beside = f" (without {some(left_out)}, which doctor does not compute)" if left_out else ""
    return f"{decide(proposals, bounds)}{beside}"


def _proposal(look: Surroundings, hpa: Object, metric: Object, scaled: Scaled) -> Proposal:
    namespace, tolerance = hpa["metadata"]["namespace"], _tolerance(hpa)
    if metric["type"] == "Pods":
        pods = [_target_pod(pod) for pod in scaled.pods]
        target = milli(metric["pods"]["target"]["averageValue"])
        try:
            found = values_of(look, namespace, metric["pods"]["metric"]["name"], scaled.selector)
        except KubeError as error:
            return Proposal(None, f"{_name_of(metric)} can't be read: {error}")
        return propose_for_pods(found, pods, target, scaled.wanted, tolerance)
    asked = metric["external"]
    selector = _selector_text(asked["metric"].get("selector") or {})
    path = f"/apis/{EXTERNAL}/v1beta1/namespaces/{quote(namespace)}/{quote(asked['metric']['name'])}"
    try:
        found_external = look.entry(path, **({"labelSelector": selector} if selector else {}))
    except KubeError as error:
        return Proposal(None, f"{asked['metric']['name']} can't be read: {error}")
    items = (found_external or {}).get("items") or ()
    if not items:
        return Proposal(None, f"{asked['metric']['name']} has no value")
    total = sum(milli(one["value"]) for one in items)
    if "averageValue" in asked["target"]:
        return propose_for_total(total, milli(asked["target"]["averageValue"]), scaled.there, tolerance)
    return propose_for_value(total, milli(asked["target"]["value"]), scaled.wanted, tolerance)


def _tolerance(hpa: Object) -> Tolerance:
    behavior = hpa["spec"].get("behavior") or {}
    given = {
        way: float(parse_quantity(str(behavior[key]["tolerance"])))
        for way, key in (("down", "scaleDown"), ("up", "scaleUp"))
        if (behavior.get(key) or {}).get("tolerance") is not None
    }
    return Tolerance(**given)


def _selector_text(selector: Object) -> str:
    return ",".join(f"{name}={value}" for name, value in sorted((selector.get("matchLabels") or {}).items()))


def _target_pod(pod: Object) -> TargetPod:
    return TargetPod(pod["metadata"]["name"], pod.get("status", {}).get("phase") == "Pending", _is_ignored(pod))


def _is_ignored(pod: Object) -> bool:
    return "deletionTimestamp" in pod["metadata"] or pod.get("status", {}).get("phase") == "Failed"


def place_of(found: Object) -> str:
    """Return an object's namespace and name."""
    return f"{found['metadata']['namespace']}/{found['metadata']['name']}"


def _of_type(hpa: Object, kind: str) -> list[Any]:
    return [one for one in hpa["spec"].get("metrics") or () if one["type"] == kind]


def _name_of(metric: Object) -> str:
    kind = metric["type"]
    of_kind = metric.get(kind[0].lower() + kind[1:]) or {}
    return str(of_kind.get("name") or of_kind.get("metric", {}).get("name") or kind)
