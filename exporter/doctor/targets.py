"""The links in Prometheus: that it answers, that it scrapes the exporters, and whose pod its series name."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from exporter.doctor.cluster import ExporterPod, exporter_pods
from exporter.doctor.finding import Finding, broken, holds, some, unseen
from exporter.doctor.prometheus_api import Prometheus, find_prometheus
from exporter.doctor.surroundings import Object, Surroundings
from exporter.errors import FetchError, KubeError, NotLetIn

_NAME_ONE = "Give its URL: --prometheus http://localhost:9090, after kubectl port-forward."
_NAME_USER = (
    "Give its URL with a user: --prometheus https://USER:PASSWORD@HOST, or use a kubeconfig that may reach services."
)
_DENIED = {401, 403}


class ChosenPrometheus(NamedTuple):
    """The Prometheus that scrapes the exporters, or any that answers; and why others do not."""

    prometheus: Prometheus | None
    targets: tuple[Object, ...]
    troubles: tuple[FetchError, ...]


class ScrapeTarget(NamedTuple):
    """How Prometheus scrapes one exporter."""

    url: str
    is_up: bool
    error: str


@dataclass(frozen=True, slots=True)
class MonitorsSeen:
    """The ServiceMonitors and PodMonitors that select the exporters, by namespace and name."""

    selecting: tuple[str, ...] = ()
    can_be_read: bool = True


def chosen(look: Surroundings) -> ChosenPrometheus:
    """Return the Prometheus to look at.

    Raises:
        KubeError: None is named, and the cluster's can't be looked for.
    """
    return look.once("prometheus", lambda: _choose(look))


def _choose(look: Surroundings) -> ChosenPrometheus:
    troubles = []
    answering: ChosenPrometheus | None = None
    for one in find_prometheus(look):
        try:
            found = one.get("targets", state="active")["activeTargets"]
        except FetchError as error:
            troubles.append(error)
            continue
        seen = ChosenPrometheus(one, tuple(found), tuple(troubles))
        if _targets_of(found, known_pods(look)):
            return seen
        answering = answering or seen
    return answering or ChosenPrometheus(None, (), tuple(troubles))


def known_pods(look: Surroundings) -> list[ExporterPod]:
    """Return the exporters' pods; none where the cluster can't be asked."""
    try:
        return exporter_pods(look)
    except KubeError:
        return []


def prometheus(look: Surroundings) -> Iterator[Finding]:
    """Look whether Prometheus answers."""
    try:
        yield judge_prometheus(chosen(look))
    except KubeError as error:
        yield unseen(str(error), _NAME_ONE)


def judge_prometheus(seen: ChosenPrometheus) -> Finding:
    """Say whether a Prometheus answers."""
    if seen.prometheus is not None:
        return holds(f"{seen.prometheus.place} answers; targets: {len(seen.targets)}")
    if not seen.troubles:
        return unseen("no Service in the cluster leads to a Prometheus", _NAME_ONE)
    trouble = seen.troubles[0]
    if trouble.status in _DENIED or isinstance(trouble, NotLetIn):
        return unseen(str(trouble), _NAME_USER)
    return broken(
        str(trouble),
        "Repair it: kubectl get pods -A -l app.kubernetes.io/name=prometheus. It may have lost its data.",
    )


def target(look: Surroundings) -> Iterator[Finding]:
    """Look whether Prometheus scrapes each exporter."""
    try:
        seen = chosen(look)
    except KubeError as error:
        yield unseen(str(error))
        return
    if seen.prometheus is None:
        yield unseen("this needs Prometheus")
        return
    pods = known_pods(look)
    yield from judge_target(pods, _targets_of(seen.targets, pods), _monitors(look))


def _targets_of(targets: Collection[Object], pods: Sequence[ExporterPod]) -> dict[str, list[ScrapeTarget]]:
    """Return the targets of each exporter, by its pod's name; of all that look like one where no pod is known."""
    names = {f"{pod.address}:{pod.port}": f"{pod.namespace}/{pod.name}" for pod in pods if pod.address}
    found: dict[str, list[ScrapeTarget]] = {}
    for one in targets:
        url, labels = str(one.get("scrapeUrl", "")), one.get("labels") or {}
        address = url.partition("://")[2].partition("/")[0]
        name = names.get(address)
        if name is None and not pods and "dcgm" in f"{labels.get('job')}{one.get('scrapePool')}":
            name = address
        if name is not None:
            found.setdefault(name, []).append(
                ScrapeTarget(url, one.get("health") == "up", str(one.get("lastError", "")))
            )
    return found


def judge_target(
    pods: Sequence[ExporterPod], targets: Mapping[str, Sequence[ScrapeTarget]], monitors: MonitorsSeen
) -> Iterator[Finding]:
    """Say which exporters Prometheus does not scrape."""
    names = {f"{pod.namespace}/{pod.name}" for pod in pods if pod.address}
    without = names - targets.keys()
    down = {name: [one for one in found if not one.is_up] for name, found in targets.items()}
    for name, found in down.items():
        for one in found:
            yield broken(
                f"Prometheus can't reach {name}: {one.error or 'not scraped yet'} ({one.url})",
                "If exporter is fine, check NetworkPolicies and the port; otherwise fix exporter first.",
            )
    if not names and not targets:
        yield unseen("no exporter was found that Prometheus could scrape")
    elif without:
        yield _judge_unscraped(without, monitors)
    elif not any(down.values()):
        yield holds(f"exporters that Prometheus scrapes: {len(targets)}")


def _judge_unscraped(without: Collection[str], monitors: MonitorsSeen) -> Finding:
    seen = f"Prometheus does not scrape {some(without)}"
    if monitors.selecting:
        return broken(
            f"{seen}, though {some(monitors.selecting)} selects it",
            "A new monitor takes up to three minutes. Otherwise Prometheus does not select it: set"
            " serviceMonitorSelectorNilUsesHelmValues=false in kube-prometheus-stack, or"
            " serviceMonitor.additionalLabels here. Prometheus must also be allowed to read the monitor's namespace.",
        )
    if monitors.can_be_read:
        return broken(
            f"{seen}: no ServiceMonitor or PodMonitor selects it",
            "Set serviceMonitor.enabled: true in the chart, or add a scrape job with honor_labels: true.",
        )
    return broken(seen, "Check its ServiceMonitor and Prometheus' page /targets.")


def _monitors(look: Surroundings) -> MonitorsSeen:
    try:
        namespaces = {pod.namespace for pod in exporter_pods(look)}
        labels = [
            (one["metadata"]["namespace"], one["metadata"].get("labels", {}))
            for one in look.objects("/api/v1/services")
        ]
        found = [
            one
            for kind in ("servicemonitors", "podmonitors")
            for one in look.objects(f"/apis/monitoring.coreos.com/v1/{kind}")
            if _selects(one, [of for namespace, of in labels if namespace in namespaces])
        ]
    except KubeError:
        return MonitorsSeen(can_be_read=False)
    return MonitorsSeen(tuple(f"{one['metadata']['namespace']}/{one['metadata']['name']}" for one in found))


def _selects(monitor: Object, labels: Collection[Mapping[str, str]]) -> bool:
    wanted = monitor["spec"]["selector"].get("matchLabels") or {}
    return "dcgm" in str(wanted) and any(wanted.items() <= of.items() for of in labels)
