"""The link of labels: whose pods Prometheus' series name."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from exporter.doctor.adapter_look import find_adapter
from exporter.doctor.exporters import read_pages
from exporter.doctor.finding import LOADS, Finding, broken, holds, unseen
from exporter.doctor.prometheus_api import Prometheus
from exporter.doctor.surroundings import Surroundings
from exporter.doctor.targets import chosen, known_pods
from exporter.errors import ExporterError, KubeError


class LabelsSeen(NamedTuple):
    """Whose pods Prometheus' series of load name.

    Attributes:
        rows: The label sets: pod, namespace and their renamed twins.
        exporters: Names of the exporters' own pods.
        holders: How many pods hold a GPU by the exporters' pages.
        knows_renamed: Whether the adapter's rules know renamed labels; None where that can't be told.
    """

    rows: Sequence[Mapping[str, str]]
    exporters: Collection[str]
    holders: int
    knows_renamed: bool | None

    @property
    def counts(self) -> tuple[int, int]:
        """Return how many pods are named as exported_pod alone, and how many as pod; a monitor may print both."""
        twins = [(row.get("pod", ""), row.get("exported_pod", "")) for row in self.rows]
        renamed = sum(exported not in {"", pod} for pod, exported in twins)
        own = {"", *self.exporters}
        return renamed, sum(pod == exported != "" or (not exported and pod not in own) for pod, exported in twins)


def labels(look: Surroundings) -> Iterator[Finding]:
    """Look whose pods the series in Prometheus name."""
    try:
        seen = chosen(look)
    except KubeError as error:
        yield unseen(str(error))
        return
    if seen.prometheus is None:
        yield unseen("this needs Prometheus")
    else:
        yield judge_labels(_look_at_labels(look, seen.prometheus))


def pods_named(look: Surroundings) -> int | None:
    """Return how many pods Prometheus' series of load name, by whatever label; None where it can't be asked."""
    try:
        seen = chosen(look)
        return None if seen.prometheus is None else sum(_look_at_labels(look, seen.prometheus).counts)
    except ExporterError:
        return None


def _look_at_labels(look: Surroundings, prometheus: Prometheus) -> LabelsSeen:
    matcher = f'{{__name__=~"{"|".join(LOADS)}"}}'
    by = "pod, namespace, exported_pod, exported_namespace"
    rows = look.once("labels", lambda: [of for of, _ in prometheus.vector(f"count by ({by}) ({matcher})")])
    held = {held for page in read_pages(look) for held in page.holders}
    try:
        rules = find_adapter(look).rules
    except ExporterError:
        rules = None
    knows = None if rules is None else "exported_pod" in rules
    return LabelsSeen(rows, {pod.name for pod in known_pods(look)}, len(held), knows)


def judge_labels(seen: LabelsSeen) -> Finding:
    """Say whether series name the pods that hold the GPUs."""
    renamed, own = seen.counts
    if not seen.rows:
        return broken(
            f"Prometheus has no series {LOADS[0]}",
            "If target is fine, relabeling drops them: check metricRelabelings.",
        )
    if renamed and not seen.knows_renamed:
        return broken(
            f"Prometheus has renamed pod to exported_pod, pods: {renamed}; pod is the exporter's own there",
            "Set honorLabels: true in the ServiceMonitor's endpoint, or delete a ServiceMonitor that duplicates the"
            " chart's; or use this chart's adapter rules, which know both names.",
        )
    if renamed:
        return holds(f"pods that series name: {renamed}, as exported_pod, which the adapter's rules know")
    if own:
        return holds(f"pods that series name: {own}")
    if seen.holders:
        return broken(
            f"pods that hold GPUs: {seen.holders}, but no series in Prometheus names one",
            "If this lasts, relabeling or Prometheus' overrideHonorLabels drops the exporter's labels.",
        )
    return holds("no series names a pod, because no pod is known to hold a GPU")
