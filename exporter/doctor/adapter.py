"""The links at the metrics adapter: whether it answers, and whether it knows what is asked."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from exporter.doctor.adapter_look import CUSTOM, Adapter, find_adapter, wanted_metrics
from exporter.doctor.finding import Finding, broken, holds, some, unseen
from exporter.doctor.pod_names import pods_named
from exporter.doctor.prometheus_api import find_prometheus
from exporter.doctor.surroundings import Surroundings
from exporter.errors import KubeError

_USUAL = "gpu_utilization"
_INSTALL = (
    "Install this chart with adapter.deploy=true, or prometheus-adapter with this chart's rules: docs/autoscaling.md."
)


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


@dataclass(frozen=True, slots=True)
class RulesSeen:
    """What the adapter knows, and what that depends on.

    Attributes:
        known: The metrics of pods that it has.
        hosts: Host and port of each Prometheus of the cluster, in each spelling.
        pods_named: How many pods Prometheus' series of load name; None where that can't be told.
    """

    known: Collection[str]
    hosts: Collection[str] = ()
    pods_named: int | None = None


def rule(look: Surroundings) -> Iterator[Finding]:
    """Look whether the adapter knows the metrics that autoscalers ask for."""
    wanted = wanted_metrics(look)
    adapter = find_adapter(look)
    if not wanted and not adapter.service:
        yield holds("no HorizontalPodAutoscaler asks for a metric of pods")
    elif not adapter.service or adapter.trouble:
        yield unseen("this needs the adapter")
    else:
        yield from judge_rule(adapter, wanted, _look_at_rules(look, adapter))


def _look_at_rules(look: Surroundings, adapter: Adapter) -> RulesSeen:
    found = look.entry(f"/apis/{CUSTOM}/{adapter.versions[0]}") or {}
    names = [one["name"] for one in found.get("resources") or ()]
    known = {name.removeprefix("pods/") for name in names if name.startswith("pods/")}
    try:
        hosts = frozenset(host for one in find_prometheus(look) for host in one.hosts)
    except KubeError:
        hosts = frozenset()
    return RulesSeen(known, hosts, pods_named(look))


def judge_rule(adapter: Adapter, wanted: Mapping[str, Collection[str]], seen: RulesSeen) -> Iterator[Finding]:
    """Say which metrics the adapter does not know, and whether it is a rule or a series that is missing."""
    for name, askers in wanted.items():
        if name not in seen.known:
            yield _judge_unknown(adapter, name, f"{some(askers)} asks for {name}", seen)
    if not wanted:
        usual = "" if _USUAL in seen.known else f", {_USUAL} not among them"
        count = len(seen.known)
        yield holds(f"the adapter knows {count} metrics of pods{usual}; no HorizontalPodAutoscaler asks for one")
    elif wanted.keys() <= set(seen.known):
        yield holds(f"the adapter knows {some(wanted)}")


def _judge_unknown(adapter: Adapter, name: str, who: str, seen: RulesSeen) -> Finding:
    if adapter.rules is None:
        return broken(
            f"{who}, which {adapter.service} does not know",
            f"One adapter alone can serve {CUSTOM}: give it a rule of that name, or have KEDA ask Prometheus.",
        )
    if not re.search(rf"\b{re.escape(name)}\b", adapter.rules):
        return broken(
            f"{who}, and ConfigMap {adapter.config_map} has no rule of that name",
            "Take this chart's rules, which have GPU and serving metrics together, or merge yours; restart the"
            " adapter: it reads rules at its start only.",
        )
    if ":" in adapter.asks and seen.hosts and adapter.asks not in seen.hosts:
        return broken(
            f"{who}: there is a rule, but the adapter asks {adapter.asks}, and no Prometheus was found there",
            f"Set prometheus.url to one of: {some(seen.hosts, most=1)}.",
        )
    if seen.pods_named == 0:
        return unseen(f"{who}: there is a rule, and no series names a pod yet", "It is known when a pod holds a GPU.")
    return broken(
        f"{who}: there is a rule, and the adapter has found no series for it",
        "Mend what is broken above. If nothing is, it looks again within a minute; its log says what it found.",
    )
