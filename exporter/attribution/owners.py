"""From claims to owners: the labels of who holds each entity, and one series for each that says how that is known."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from exporter.attribution.claims import AdminAccess, Claim, Claims, OwnerSource
from exporter.attribution.jobs import jobs_of
from exporter.attribution.resource_slices import Slices
from exporter.catalogue.reading import OWN
from exporter.counters import Counter, MetricType
from exporter.model import Attribution, Entity, Holder, Labels, Owner, Sample
from podresources.allocations import Allocations

OWNER_INFO = Counter(
    "gpu_exporter_owner_info",
    "gpu_exporter_owner_info",
    OWN + 1,
    MetricType.GAUGE,
    "Always 1. Who holds an entity and where this is known from; if no holder is known, the reason.",
)
"""One series for each series that an entity has of a field: with its labels, a reason and a source."""

NOBODY = Holder("", "", "")


class Why(StrEnum):
    """Why an entity has no owner, or more than the device plugin should allow."""

    OWNED = ""
    NO_POD = "no_pod"
    KUBELET_SILENT = "kubelet_silent"
    KUBELET_STARTING = "kubelet_starting"
    UNKNOWN_DEVICE_ID = "unknown_device_id"
    OTHER_RESOURCE = "other_resource"
    NO_RESOURCE_SLICES = "no_resource_slices"
    HELD_IN_PARTS = "held_in_parts"
    LISTED_TWICE = "listed_twice"


PodKey = tuple[str, str]
"""A pod's namespace and name."""


class PodMeta(NamedTuple):
    """What the API server says of a pod that has not ended: its uid, and its labels ready to print.

    `left_out` is how many of its labels are not printed though they were asked for.
    """

    uid: str
    labels: Labels = ()
    left_out: int = 0


class Evidence(NamedTuple):
    """All that owners depend on, as it is known at one moment; by default nothing is.

    Attributes:
        entities: What is exported.
        holdable: What pods can be given on this node, exported or not.
        allocations: What kubelet lists, or why that is not known.
        pods: This node's pods that have not ended, by the API server; None while nobody knows.
        pods_heard_at: When the API server said something of them last (monotonic seconds); None while it never did.
        jobs: HPC jobs by the name of their file.
        slices: The ResourceSlices of this node; None while nobody knows.
        admin_access: What DRA claims only look at; None where claims are not read.
        ended: Pods that have ended, though kubelet lists them still; pod_memory finds them.
    """

    entities: tuple[Entity, ...] = ()
    holdable: tuple[Entity, ...] = ()
    allocations: Allocations | Why = Why.KUBELET_SILENT
    pods: Mapping[PodKey, PodMeta] | None = None
    pods_heard_at: float | None = None
    jobs: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    slices: Slices | None = None
    admin_access: AdminAccess | None = None
    ended: frozenset[PodKey] = frozenset()


def attribute(evidence: Evidence, claims: Claims, *, with_uid: bool = False) -> Attribution:
    """Decide who owns each exported entity.

    Args:
        evidence: What is known.
        claims: Who holds what by kubelet's list; what is claimed and not exported is left out.
        with_uid: Give owners the label pod_uid.

    Returns:
        For each entity one owner for each container, and share where shares are named; without one the entity's own
        jobs only. Owners are in a fixed order.
    """
    grouped: dict[Entity, list[Claim]] = {}
    for claim in claims.claims:
        grouped.setdefault(claim.entity, []).append(claim)
    owners: dict[Entity, tuple[Owner, ...]] = {}
    info: list[Sample] = []
    for entity in evidence.entities:
        held, is_twice = _still_held(grouped.get(entity, []), evidence.ended)
        jobs = jobs_of(entity, evidence.jobs)
        owners[entity] = _with_jobs(_owners(held, evidence.pods or {}, with_uid=with_uid), jobs)
        why = _why_nobody(entity, claims, evidence) if not held else Why.LISTED_TWICE if is_twice else Why.OWNED
        info.append(_info(entity, held, why))
    return Attribution(owners, tuple(info))


def _still_held(claims: list[Claim], ended: frozenset[PodKey]) -> tuple[list[Claim], bool]:
    """Drop ended pods where several pods claim an id that is for one alone; say whether several remain.

    Where all of them have ended, all remain: kubelet says that somebody holds it, and not who.
    """
    pods_by_id: dict[str, set[PodKey]] = {}
    for claim in claims:
        if claim.exclusive is not None:
            pods_by_id.setdefault(claim.exclusive, set()).add(claim.pod)
    rivals = [pods for pods in pods_by_id.values() if len(pods) > 1]
    dropped = {pod for pods in rivals if not pods <= ended for pod in pods & ended}
    return [claim for claim in claims if claim.pod not in dropped], any(len(pods - dropped) > 1 for pods in rivals)


def _owners(claims: Iterable[Claim], pods: Mapping[PodKey, PodMeta], *, with_uid: bool) -> tuple[Owner, ...]:
    found: dict[tuple[Holder, Labels], Owner] = {}
    for claim in claims:
        pod = pods.get(claim.pod)
        uid = (("pod_uid", pod.uid if pod else ""),) if with_uid else ()
        found[claim.holder, claim.extra] = Owner(claim.holder, pod.labels if pod else (), (*claim.extra, *uid))
    return tuple(owner for _, owner in sorted(found.items(), key=lambda item: item[0]))


def _with_jobs(owners: tuple[Owner, ...], jobs: tuple[str, ...]) -> tuple[Owner, ...]:
    if not jobs:
        return owners
    return tuple(
        Owner(owner.holder, owner.labels, (*owner.extra, ("hpc_job", job)))
        for owner in owners or (Owner(NOBODY),)
        for job in jobs
    )


def _why_nobody(entity: Entity, claims: Claims, evidence: Evidence) -> Why:
    if isinstance(evidence.allocations, Why):
        return evidence.allocations
    if entity.instance is None and any(claim.entity.gpu == entity.gpu for claim in claims.claims):
        return Why.HELD_IN_PARTS
    if any(_overlap(entity, named) for named in claims.misnamed):
        return Why.UNKNOWN_DEVICE_ID
    if any(_overlap(entity, listed) for listed, _ in claims.uncounted):
        return Why.OTHER_RESOURCE
    return Why.NO_RESOURCE_SLICES if claims.lacks_slices else Why.NO_POD


def _overlap(one: Entity, other: Entity) -> bool:
    """Tell whether who holds one entity holds some of the other: the same, or a GPU and one of its instances."""
    return one.gpu == other.gpu and (one.instance is None or other.instance is None or one == other)


def _info(entity: Entity, held: Iterable[Claim], why: Why) -> Sample:
    source = ",".join(sorted({claim.source for claim in held})) or str(OwnerSource.NONE)
    return Sample(entity, OWNER_INFO.field, 1, float("inf"), (("reason", str(why)), ("source", source)))
