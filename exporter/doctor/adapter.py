"""The links at the metrics adapter: whose it is, whether it answers, and whether it has a rule for what is asked."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from exporter.doctor.finding import Finding, broken, holds, some, unseen
from exporter.doctor.prometheus_api import find_prometheus
from exporter.doctor.surroundings import Object, Surroundings
from exporter.errors import KubeError

CUSTOM = "custom.metrics.k8s.io"
EXTERNAL = "external.metrics.k8s.io"
_USUAL = "gpu_utilization"
_URL = re.compile(r"--prometheus-url=(?:https?://)?(?P<host>[^/]+)")
_INSTALL = (
    "Install this chart with adapter.deploy=true, or prometheus-adapter with this chart's rules: docs/autoscaling.md."
)


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
    return "it was registered a moment ago"


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
    """Return the HorizontalPodAutoscalers that are looked at.

    Raises:
        KubeError: They can't be read.
    """
    within = f"/namespaces/{look.asked.namespace}" if look.asked.namespace else ""
    return look.objects(f"/apis/autoscaling/v2{within}/horizontalpodautoscalers")


def adapter(look: Surroundings) -> Iterator[Finding]:
    """Look whether somebody serves metrics of pods."""
    try:
        is_needed = bool(wanted_metrics(look))
    except KubeError:
        is_needed = True
    yield judge_adapter(find_adapter(look), is_needed=is_needed)


def judge_adapter(seen: Adapter, *, is_needed: bool) -> Finding:
    """Say whether the adapter is there, answers, and whose it is."""
    if not seen.service:
        if is_needed:
            return broken(f"nobody serves {CUSTOM}", _INSTALL)
        return holds(f"nobody serves {CUSTOM}, and no HorizontalPodAutoscaler asks for it")
    if seen.trouble:
        namespace = seen.service.partition("/")[0]
        return broken(
            f"{seen.service} serves {CUSTOM}, and is not available: {seen.trouble}",
            f"kubectl get pods -n {namespace}; kubectl describe and logs say why it does not run.",
        )
    if seen.image and "prometheus-adapter" not in seen.image:
        return holds(f"{seen.service} answers; it is no prometheus-adapter ({seen.image}), so its rules are not read")
    rules = f"; its rules are in ConfigMap {seen.config_map}" if seen.rules is not None else ""
    return holds(f"{seen.service} answers{rules}")


def rule(look: Surroundings) -> Iterator[Finding]:
    """Look whether the adapter knows the metrics that autoscalers ask for."""
    wanted = wanted_metrics(look)
    seen = find_adapter(look)
    if not seen.service or seen.trouble:
        yield (
            unseen("this needs the adapter")
            if wanted
            else holds("no HorizontalPodAutoscaler asks for a metric of pods")
        )
        return
    try:
        hosts = frozenset(host for one in find_prometheus(look) for host in one.hosts)
    except KubeError:
        hosts = frozenset()
    found = look.entry(f"/apis/{CUSTOM}/{seen.versions[0]}") or {}
    known = {
        one["name"].removeprefix("pods/") for one in found.get("resources") or () if one["name"].startswith("pods/")
    }
    yield from judge_rule(seen, known, wanted, hosts)


def judge_rule(
    seen: Adapter, known: Collection[str], wanted: Mapping[str, Collection[str]], hosts: Collection[str]
) -> Iterator[Finding]:
    """Say which metrics the adapter does not know, and whether it is a rule or a series that is missing."""
    for name, askers in wanted.items():
        if name in known:
            continue
        who = f"{some(askers)} asks for {name}"
        if seen.rules is None:
            yield broken(
                f"{who}, which {seen.service} does not know",
                f"One adapter alone can serve {CUSTOM}: give it a rule of that name, or have KEDA ask Prometheus.",
            )
        elif not re.search(rf"\b{re.escape(name)}\b", seen.rules):
            yield broken(
                f"{who}, and ConfigMap {seen.config_map} has no rule of that name",
                "Take this chart's rules, which have GPU and serving metrics together, or merge yours; restart the"
                " adapter: it reads rules at its start only.",
            )
        elif seen.asks and hosts and seen.asks not in hosts:
            yield broken(
                f"{who}: there is a rule, but the adapter asks {seen.asks}, which is no Prometheus of this cluster",
                f"Set prometheus.url to one of: {some(hosts, most=1)}.",
            )
        else:
            yield broken(
                f"{who}: there is a rule, and Prometheus has no series for it",
                "Mend what is broken above: exporter, owners, target or labels. If nothing is, no pod holds a GPU yet,"
                " or the adapter looks again within a minute.",
            )
    if not wanted:
        usual = "" if _USUAL in known else f", {_USUAL} not among them"
        yield holds(f"the adapter knows {len(known)} metrics of pods{usual}; no HorizontalPodAutoscaler asks for one")
    elif wanted.keys() <= set(known):
        yield holds(f"the adapter knows {some(wanted)}")
