"""What a HorizontalPodAutoscaler decides with the numbers it has: Kubernetes' own formula, gaps included.

Values are in thousandths, as the autoscaler has them. Left out is what only delays: stabilization windows and the
steps of `behavior`. Source: pkg/controller/podautoscaler/replica_calculator.go of Kubernetes 1.36.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

TOLERANCE = 0.1
"""By how much a ratio may be off before anything is done, unless the autoscaler or the controller manager says so."""

_TEN = 10_000


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far below and above 1 a ratio changes nothing."""

    down: float = TOLERANCE
    up: float = TOLERANCE

    def covers(self, ratio: float) -> bool:
        """Tell whether a ratio changes nothing."""
        return 1.0 - self.down <= ratio <= 1.0 + self.up


class TargetPod(NamedTuple):
    """A pod of what is scaled; one that is being deleted, or has failed, is ignored."""

    name: str
    is_pending: bool = False
    is_ignored: bool = False


class Proposal(NamedTuple):
    """The replicas that one metric asks for, and why; None where it can't say."""

    replicas: int | None
    why: str


class Bounds(NamedTuple):
    """The least and the most replicas that an autoscaler allows, and how many there are to be now."""

    least: int
    most: int
    current: int


def propose_for_pods(
    values_milli: Mapping[str, int], pods: Collection[TargetPod], target_milli: int, current: int, tolerance: Tolerance
) -> Proposal:
    """Decide on a metric of pods: one value each, whose mean is compared with the target.

    A pod without a value, or one that has not started, counts in the direction that changes less.
    """
    counted = {pod.name for pod in pods if not pod.is_ignored and not pod.is_pending}
    pending = {pod.name for pod in pods if pod.is_pending and not pod.is_ignored}
    values = {name: value for name, value in values_milli.items() if name in counted}
    missing = counted - values.keys()
    if not pods:
        return Proposal(None, "there is no pod")
    if not values:
        return Proposal(None, f"pods with a value: 0 of {len(counted) + len(pending)}")
    ratio = _ratio(values, target_milli)
    gaps = dict.fromkeys(missing, target_milli if ratio < 1.0 else 0) if ratio != 1.0 else {}
    if ratio > 1.0:
        gaps |= dict.fromkeys(pending, 0)
    filled = _ratio(values | gaps, target_milli)
    mean = f"the mean is {thousandths(sum(values.values()) // len(values))} of {thousandths(target_milli)}"
    lacking = [
        *([f"{len(missing)} without a value"] if missing else []),
        *([f"{len(pending)} not started"] if pending and ratio > 1.0 else []),
    ]
    if lacking:
        level = thousandths(round(filled * target_milli))
        mean += f", known of {len(values)}; with {' and '.join(lacking)} it counts as {level}"
    if tolerance.covers(filled) or (ratio < 1.0 < filled) or (filled < 1.0 < ratio):
        return Proposal(current, f"{mean}, which is within the tolerance")
    wanted = math.ceil(filled * (len(values) + len(gaps)))
    if (filled < 1.0 and wanted > current) or (filled > 1.0 and wanted < current):
        wanted = current
    return Proposal(wanted, mean)


def propose_for_total(total_milli: int, target_milli: int, current: int, tolerance: Tolerance) -> Proposal:
    """Decide on one total that is shared by the pods there are: AverageValue of a metric that is not of pods."""
    why = f"the total is {thousandths(total_milli)}, at {thousandths(target_milli)} per pod"
    ratio = total_milli / (target_milli * current) if current else math.inf
    if tolerance.covers(ratio):
        return Proposal(current, f"{why}, which is within the tolerance")
    return Proposal(math.ceil(total_milli / target_milli), why)


def propose_for_value(value_milli: int, target_milli: int, current: int, tolerance: Tolerance) -> Proposal:
    """Decide on one value that all pods together have: Value of a metric that is not of pods."""
    why = f"the value is {thousandths(value_milli)} of {thousandths(target_milli)}"
    ratio = value_milli / target_milli
    if current and tolerance.covers(ratio):
        return Proposal(current, f"{why}, which is within the tolerance")
    return Proposal(math.ceil(ratio * (current or 1)), why)


def decide(proposals: Sequence[Proposal], bounds: Bounds) -> str:
    """Return in a sentence what is done: the largest proposal counts, and no pod is taken away while one is missing."""
    known = [proposal for proposal in proposals if proposal.replicas is not None]
    best = max(known, key=lambda proposal: proposal.replicas or 0, default=None)
    if best is None or best.replicas is None:
        why = proposals[0].why if proposals else "it has no metric"
        return f"stays at {bounds.current}, because {why}"
    wanted = best.replicas
    if len(known) < len(proposals) and wanted < bounds.current:
        unknown = next(proposal.why for proposal in proposals if proposal.replicas is None)
        return f"stays at {bounds.current}, because {unknown}"
    allowed = min(max(wanted, bounds.least), bounds.most)
    limit = ""
    if allowed != wanted:
        limit = f", and {'maxReplicas' if wanted > allowed else 'minReplicas'} is {allowed}"
    verb = "stays at" if allowed == bounds.current else "would scale to"
    return f"{verb} {allowed}, because {best.why}{limit}"


def thousandths(value: int) -> str:
    """Return a number of thousandths as people read it: 83, 45.5, 0.125; a mean's later decimals say nothing."""
    return f"{value / 1000:.{1 if abs(value) >= _TEN else 3}f}".rstrip("0").rstrip(".")


def _ratio(values: Mapping[str, int], target_milli: int) -> float:
    return sum(values.values()) // len(values) / target_milli
