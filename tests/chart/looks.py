"""Places in what the chart renders, by the names that its objects have in Kubernetes."""

from collections.abc import Mapping
from typing import Any

from tests.chart.helm import Rendered

Part = Mapping[str, Any]


def daemon_set(rendered: Rendered) -> Part:
    return rendered.one("DaemonSet")


def pod(rendered: Rendered) -> Part:
    """The pod's own spec."""
    spec: Part = daemon_set(rendered)["spec"]["template"]["spec"]
    return spec


def pod_meta(rendered: Rendered) -> Part:
    meta: Part = daemon_set(rendered)["spec"]["template"]["metadata"]
    return meta


def exporter(rendered: Rendered) -> Part:
    """The exporter's container, the only one."""
    [container] = pod(rendered)["containers"]
    found: Part = container
    return found


def environment(rendered: Rendered) -> Mapping[str, str | None]:
    """The exporter's variables; None for one that Kubernetes fills in."""
    return {one["name"]: one.get("value") for one in exporter(rendered)["env"]}


def mounts(rendered: Rendered) -> Mapping[str, Part]:
    """The exporter's mounts by their paths."""
    return {one["mountPath"]: one for one in exporter(rendered).get("volumeMounts", ())}


def volumes(rendered: Rendered) -> Mapping[str, Part]:
    """The pod's volumes by their names."""
    return {one["name"]: one for one in pod(rendered).get("volumes", ())}


def service(rendered: Rendered) -> Part:
    found: Part = rendered.one("Service", daemon_set(rendered)["metadata"]["name"])
    return found


def endpoint(rendered: Rendered) -> Part:
    """What the exporter's own monitor does with the page, where it takes no second look."""
    [found] = endpoints(rendered)
    return found


def endpoints(rendered: Rendered) -> list[Part]:
    """The page's endpoint of the exporter's own monitor, and the signal's where there is one."""
    name = f"{daemon_set(rendered)['metadata']['name']}-metrics"
    [spec] = [one["spec"] for one in rendered.objects if "Monitor" in one["kind"] and one["metadata"]["name"] == name]
    found: list[Part] = spec.get("endpoints") or spec["podMetricsEndpoints"]
    return found


def own_monitor(rendered: Rendered) -> Part:
    return rendered.one("ServiceMonitor", f"{daemon_set(rendered)['metadata']['name']}-metrics")


def rules_of_cluster_roles(rendered: Rendered) -> set[tuple[str, str]]:
    """What the exporter may do everywhere: (resource, verb)."""
    name = ":" + daemon_set(rendered)["metadata"]["name"]
    return {
        (resource, verb)
        for role in rendered.all("ClusterRole")
        if role["metadata"]["name"].endswith(name)
        for rule in role["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def config_map(rendered: Rendered, name: str) -> Mapping[str, str]:
    """A ConfigMap's data; nothing where nobody makes it."""
    found = [one["data"] for one in rendered.all("ConfigMap") if one["metadata"]["name"] == name]
    return found[0] if found else {}


def has_kind(rendered: Rendered, kind: str, name: str) -> bool:
    return name in [one["metadata"]["name"] for one in rendered.all(kind)]
