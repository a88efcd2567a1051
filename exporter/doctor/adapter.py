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
            return broken(f"{CUSTOM} is not served", _INSTALL)
        return holds(f"{CUSTOM} is not served, and no HorizontalPodAutoscaler needs it")
    if seen.trouble:
        namespace = seen.service.partition("/")[0]
        return broken(
            f"{seen.service} serves {CUSTOM}, but is not available: {seen.trouble}",
            f"kubectl get pods -n {namespace}; kubectl describe and logs show why it does not run.",
        )
    if seen.image and "prometheus-adapter" not in seen.image:
        return holds(
            f"{seen.service} answers; it is not a prometheus-adapter ({seen.image}), so its rules are not checked"
        )
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
        yield holds("no HorizontalPodAutoscaler uses a pod metric")
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
        usual = "" if _USUAL in seen.known else f", but not {_USUAL}"
        count = len(seen.known)
        yield holds(f"the adapter knows {count} pod metrics{usual}; no HorizontalPodAutoscaler uses one")
    elif wanted.keys() <= set(seen.known):
        yield holds(f"the adapter knows {some(wanted)}")


def _judge_unknown(adapter: Adapter, name: str, who: str, seen: RulesSeen) -> Finding:
    if adapter.rules is None:
        return broken(
            f"{who}, which {adapter.service} does not know",
            f"Only one adapter can serve {CUSTOM}: give it a rule of that name, or let KEDA query Prometheus.",
        )
    if not re.search(rf"\b{re.escape(name)}\b", adapter.rules):
        return broken(
            f"{who}, but ConfigMap {adapter.config_map} has no rule of that name",
            "Use this chart's rules, which cover GPU and serving metrics, or merge yours with them. Restart the"
            " adapter: it reads rules only at its start.",
        )
    if ":" in adapter.asks and seen.hosts and adapter.asks not in seen.hosts:
        return broken(
            f"{who}: there is a rule, but the adapter queries {adapter.asks}, and no Prometheus was found there",
            f"Set prometheus.url to one of: {some(seen.hosts, most=1)}.",
        )
    if seen.pods_named == 0:
        return unseen(
            f"{who}: there is a rule, but no series names a pod yet", "The metric exists once a pod holds a GPU."
        )
    return broken(
        f"{who}: there is a rule, but the adapter has found no series for it",
        "Fix what is broken above. If nothing is, wait a minute: the adapter looks again; its log says what it found.",
    )
