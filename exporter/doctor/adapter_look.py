"""What serves a group of metrics, whose it is, and by which rules; and the metrics that autoscalers ask it for."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from exporter.doctor.surroundings import Object, Surroundings
from exporter.errors import KubeError

CUSTOM = "custom.metrics.k8s.io"
EXTERNAL = "external.metrics.k8s.io"
_OURS = frozenset({"Pods", "Object", "External"})
"""Kinds of metrics that can come from GPUs."""
_URL = re.compile(r"--prometheus-url=(?:https?://)?(?P<host>[^/\s]+)")


@dataclass(frozen=True, slots=True)
class Adapter:
    """What serves a group of metrics.

    Attributes:
        versions: Its versions that are registered.
        service: Namespace and name of the Service behind it; "" where nothing is registered.
        trouble: Why it is not available; "" where it is.
        image: The image of the Deployment behind that Service; "" where it can't be told.
        config_map: Where its rules are.
        rules: Their text; None where it can't be read.
        asks: The host and port of the Prometheus that it asks; "" where that can't be told.
    """

    versions: tuple[str, ...] = ()
    service: str = ""
    trouble: str = ""
    image: str = ""
    config_map: str = ""
    rules: str | None = None
    asks: str = ""


def find_adapter(look: Surroundings, group: str = CUSTOM) -> Adapter:
    """Return what serves a group of metrics.

    Raises:
        KubeError: What is registered can't be read.
    """
    registered = [
        one for one in look.objects("/apis/apiregistration.k8s.io/v1/apiservices") if one["spec"].get("group") == group
    ]
    if not registered:
        return Adapter()
    place = registered[0]["spec"].get("service") or {}
    namespace, name = place.get("namespace", ""), place.get("name", "")
    versions = tuple(sorted(one["spec"]["version"] for one in registered))
    trouble = next(filter(None, map(_trouble, registered)), "")
    try:
        behind = _deployment(look, namespace, name)
    except KubeError:
        behind = None
    if behind is None:
        return Adapter(versions, f"{namespace}/{name}", trouble)
    pod = behind["spec"]["template"]["spec"]
    arguments = " ".join(part for one in pod["containers"] for part in (*one.get("command", ()), *one.get("args", ())))
    asks = _URL.search(arguments)
    config_map, rules = _rules(look, namespace, pod)
    image = pod["containers"][0]["image"]
    return Adapter(versions, f"{namespace}/{name}", trouble, image, config_map, rules, asks["host"] if asks else "")


def _trouble(registered: Object) -> str:
    for one in registered.get("status", {}).get("conditions", ()):
        if one["type"] == "Available":
            return "" if one["status"] == "True" else f"{one.get('reason')}: {one.get('message')}"
    return "it was registered just now"


def _deployment(look: Surroundings, namespace: str, service: str) -> dict[str, Any] | None:
    found = look.entry(f"/api/v1/namespaces/{namespace}/services/{service}")
    selector: Mapping[str, str] = (found or {}).get("spec", {}).get("selector") or {}
    for one in look.objects(f"/apis/apps/v1/namespaces/{namespace}/deployments"):
        labels = one["spec"]["template"]["metadata"].get("labels", {})
        if selector and selector.items() <= labels.items():
            return one
    return None


def _rules(look: Surroundings, namespace: str, pod: Object) -> tuple[str, str | None]:
    names = [one["configMap"]["name"] for one in pod.get("volumes", ()) if "configMap" in one]
    for name in names:
        try:
            found = look.entry(f"/api/v1/namespaces/{namespace}/configmaps/{name}")
        except KubeError:
            return f"{namespace}/{name}", None
        text = "\n".join((found or {}).get("data", {}).values())
        if "seriesQuery" in text or found is None:
            return f"{namespace}/{name}", text
    return "", None


def wanted_metrics(look: Surroundings) -> dict[str, list[str]]:
    """Return the metrics of pods that autoscalers ask for, and which these are.

    Raises:
        KubeError: Autoscalers can't be read.
    """
    found: dict[str, list[str]] = {}
    for one in autoscalers(look):
        for metric in one["spec"].get("metrics", ()):
            if metric["type"] == "Pods":
                place = f"{one['metadata']['namespace']}/{one['metadata']['name']}"
                found.setdefault(metric["pods"]["metric"]["name"], []).append(place)
    return found


def autoscalers(look: Surroundings) -> list[dict[str, Any]]:
    """Return the HorizontalPodAutoscalers that are looked at; not those on processor time and memory alone.

    Raises:
        KubeError: They can't be read.
    """
    within = f"/namespaces/{look.asked.namespace}" if look.asked.namespace else ""
    found = look.objects(f"/apis/autoscaling/v2{within}/horizontalpodautoscalers")
    return [one for one in found if any(metric["type"] in _OURS for metric in one["spec"].get("metrics") or ())]
