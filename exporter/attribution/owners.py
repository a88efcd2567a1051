"""From claims to owners: the labels of who holds each entity, and one series for each that says how that is known."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import NamedTuple

from exporter.attribution.claims import Claim, Claims, OwnerSource
from exporter.catalogue.reading import OWN
from exporter.counters import Counter, MetricType
from exporter.model import Attribution, Entity, Holder, Labels, Owner, Sample

OWNER_INFO = Counter(
    "gpu_exporter_owner_info",
    "gpu_exporter_owner_info",
    OWN + 1,
    MetricType.GAUGE,
    "Always 1. Who holds an entity and what said so; where nobody is known to hold it, the reason.",
)
"""One series for each series that an entity has of a field: with its labels, a reason and a source."""

NOBODY = Holder("", "", "")


class Why(StrEnum):
    """Why an entity has no owner, or more than the device plugin should allow."""

    OWNED = ""
    NO_POD = "no_pod"
    KUBELET_SILENT = "kubelet_silent"
    UNKNOWN_DEVICE_ID = "unknown_device_id"
    NO_RESOURCE_SLICES = "no_resource_slices"
    HELD_IN_PARTS = "held_in_parts"
    LISTED_TWICE = "listed_twice"


class PodMeta(NamedTuple):
    """What the API server says of a pod that has not ended: its uid, and its labels ready to print."""

    uid: str
    labels: Labels = ()


class Context(NamedTuple):
    """What is known besides the claims.

    `pods` are those that the API server knows, None where it is not asked or has not answered; where they are
    complete, a pod that is not among them has ended. `jobs` are the HPC jobs by entity. `silent` says that kubelet
    has not answered for too long.
    """

    pods: Mapping[tuple[str, str], PodMeta] | None = None
    pods_complete: bool = False
    jobs: Mapping[Entity, tuple[str, ...]] = {}
    silent: bool = False
    with_uid: bool = False


def attribute(entities: Iterable[Entity], claims: Claims, context: Context) -> Attribution:
    """Decide who owns each entity.

    Args:
        entities: All exported GPUs and MIG instances; what is claimed besides is left out.
        claims: Who holds them by kubelet's list.
        context: What else is known.

    Returns:
        For each entity one owner for each container, and share where shares are named; without one the entity's own
        jobs only. Owners are in a fixed order.
    """
    grouped: dict[Entity, list[Claim]] = {}
    for claim in () if context.silent else claims.claims:
        grouped.setdefault(claim.entity, []).append(claim)
    owners: dict[Entity, tuple[Owner, ...]] = {}
    info: list[Sample] = []
    for entity in entities:
        held, is_twice = _still_held(grouped.get(entity, []), context)
        owners[entity] = _with_jobs(_owners(held, context), context.jobs.get(entity, ()))
        why = _why_nobody(entity, claims, context) if not held else Why.LISTED_TWICE if is_twice else Why.OWNED
        info.append(_info(entity, held, why))
    return Attribution(owners, tuple(info))


def _still_held(claims: list[Claim], context: Context) -> tuple[list[Claim], bool]:
    """Drop ended pods where several pods claim an id that is for one alone; say whether several remain."""
    pods_by_id: dict[str, set[tuple[str, str]]] = {}
    for claim in claims:
        if claim.exclusive is not None:
            pods_by_id.setdefault(claim.exclusive, set()).add(claim.pod)
    rivals = [pods for pods in pods_by_id.values() if len(pods) > 1]
    alive = context.pods if context.pods is not None and context.pods_complete else {}
    ended = {pod for pods in rivals if not pods.isdisjoint(alive) for pod in pods if pod not in alive}
    return [claim for claim in claims if claim.pod not in ended], any(len(pods - ended) > 1 for pods in rivals)


def _owners(claims: Iterable[Claim], context: Context) -> tuple[Owner, ...]:
    found: dict[tuple[Holder, Labels], Owner] = {}
    for claim in claims:
        pod = (context.pods or {}).get(claim.pod)
        uid = (("pod_uid", pod.uid if pod else ""),) if context.with_uid else ()
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


def _why_nobody(entity: Entity, claims: Claims, context: Context) -> Why:
    if context.silent:
        return Why.KUBELET_SILENT
    if entity.instance is None and any(claim.entity.gpu == entity.gpu for claim in claims.claims):
        return Why.HELD_IN_PARTS
    if claims.unmatched:
        return Why.UNKNOWN_DEVICE_ID
    return Why.NO_RESOURCE_SLICES if claims.lacks_slices else Why.NO_POD


def _info(entity: Entity, held: Iterable[Claim], why: Why) -> Sample:
    source = ",".join(sorted({claim.source for claim in held})) or str(OwnerSource.NONE)
    return Sample(entity, OWNER_INFO.field, 1, float("inf"), (("reason", str(why)), ("source", source)))
