"""The links to kubelet: its socket, and what its list says of this node's GPUs."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from exporter.agent.ownership import quiet_grpc
from exporter.attribution.claims import Claims, Dra, Resources, find_claims
from exporter.attribution.device_ids import EntityIndex
from exporter.doctor.finding import Finding, broken, holds, some, unseen
from exporter.doctor.node import NOT_HERE
from exporter.doctor.surroundings import Surroundings
from podresources.allocations import Allocations
from podresources.errors import PodResourcesError, SocketMissing, Unreachable

OTHER_SOCKETS = {
    "k0s": Path("/var/lib/k0s/kubelet/pod-resources/kubelet.sock"),
    "microk8s": Path("/var/snap/microk8s/common/var/lib/kubelet/pod-resources/kubelet.sock"),
}
"""Where kubelet serves PodResources on Kubernetes of other folders, by what that is called."""

_ASK = "Start the exporter with -k; in the chart kubernetes.podMapping: true, the default."
_SELINUX = (
    "SELinux is enforcing here: set podSecurityContext: {seLinuxOptions: {type: spc_t}} in the chart's values. On the"
    " node, ausearch -m avc shows the denial."
)
_ELSEWHERE = "Mount kubelet's pod-resources directory: kubeletPath in the chart's values. " + ", ".join(
    f"{name} has it at {path.parent}" for name, path in OTHER_SOCKETS.items()
)


class SocketSeen(NamedTuple):
    """What asking kubelet has led to, and what else matters for the cure.

    Attributes:
        answer: The list, or why there is none.
        others: Sockets of other folders that are here.
        is_enforcing: Whether SELinux enforces.
        is_root: Whether this process is root's.
    """

    answer: Allocations | PodResourcesError
    others: tuple[Path, ...] = ()
    is_enforcing: bool = False
    is_root: bool = True


def socket(look: Surroundings) -> Iterator[Finding]:
    """Look whether kubelet answers on its socket."""
    why_not = _why_not_asked(look)
    if why_not is not None:
        yield why_not
    else:
        yield judge_socket(look.settings.pod_resources_socket, _ask(look))


def _why_not_asked(look: Surroundings) -> Finding | None:
    """Return the finding where kubelet need not be asked."""
    settings = look.settings
    if not look.belongs_here:
        return unseen(NOT_HERE)
    if settings.mock is not None and "pod-resources-kubelet-socket" not in settings.given:
        return unseen("a mock has its own kubelet, which only the mock can ask")
    if settings.kubernetes:
        return None
    if look.is_in_pod:
        return broken("kubelet is not asked who holds the GPUs: -k is not given", _ASK)
    return unseen("kubelet is not asked here: -k is not given", _ASK)


def _ask(look: Surroundings) -> SocketSeen:
    quiet_grpc()
    from podresources.client import PodResourcesClient  # noqa: PLC0415  (after gRPC is quiet)

    path = Path(look.settings.pod_resources_socket)
    client = PodResourcesClient(path)
    try:
        answer: Allocations | PodResourcesError = client.list()
    except PodResourcesError as error:
        answer = error
    finally:
        client.close()
    others = tuple(other for other in OTHER_SOCKETS.values() if other != path and os.access(other, os.F_OK))
    is_enforcing = look.text_of("sys/fs/selinux/enforce") == "1"
    return SocketSeen(answer, others, is_enforcing, os.geteuid() == 0)


def judge_socket(path: str, seen: SocketSeen) -> Finding:
    """Say whether kubelet answers, and what to do for each way in which it does not."""
    if not isinstance(seen.answer, PodResourcesError):
        return holds(f"kubelet answers on {path}")
    sentence, _, cure = str(seen.answer).partition(": ")
    if isinstance(seen.answer, SocketMissing) and seen.others:
        return broken(sentence, f"--pod-resources-kubelet-socket {seen.others[0]}: use that one.")
    if isinstance(seen.answer, SocketMissing):
        return broken(sentence, f"{_ELSEWHERE}.")
    if isinstance(seen.answer, Unreachable) and "permission" in sentence:
        if seen.is_root and seen.is_enforcing:
            return broken(sentence, _SELINUX)
        return broken(sentence, f"{_sentence_case(cure)}.{f' {_SELINUX}' if seen.is_enforcing else ''}")
    return broken(sentence, f"{_sentence_case(cure)}.")


def allocations(look: Surroundings) -> Iterator[Finding]:
    """Look who holds this node's GPUs by kubelet's list."""
    if _why_not_asked(look) is not None:
        yield unseen("kubelet was not asked")
        return
    seen = _ask(look)
    if isinstance(seen.answer, PodResourcesError):
        yield unseen("kubelet gave no list")
        return
    settings = look.settings
    resources = Resources(frozenset(settings.nvidia_resource_names))
    index = EntityIndex(look.nvml.entities)
    claims = find_claims(seen.answer, index, resources, Dra(), name_shares=settings.virtual_gpus)
    yield from judge_allocations(claims, len(look.nvml.entities), has_dra=settings.enable_dra)


def judge_allocations(claims: Claims, entities: int, *, has_dra: bool) -> Iterator[Finding]:
    """Say who holds GPUs, and whose holder can't be told."""
    if claims.unmatched and entities:
        yield broken(
            f"kubelet lists ids that match no GPU of this node: {some(claims.unmatched)}",
            "The device plugin does not use UUIDs, or the GPUs have changed since it started: restart it.",
        )
    for entity, resource in sorted(claims.uncounted, key=str):
        yield broken(
            f"GPU {entity.gpu.index} is allocated as {resource}, which the exporter does not count as a GPU",
            f"--nvidia-resource-names {resource}; in the chart as an argument.",
        )
    if claims.lacks_slices and not has_dra:
        yield broken(
            "GPUs are allocated by DRA, but the exporter does not read it",
            "Set --kubernetes-enable-dra; in the chart kubernetesDRA.enabled.",
        )
    held = {claim.entity for claim in claims.claims}
    pods = {claim.pod for claim in claims.claims}
    if held:
        yield holds(f"held: {len(held)} of {entities} GPUs or MIG instances, pods: {len(pods)}")
    elif claims.lacks_slices and has_dra:
        yield holds("GPUs are allocated by DRA; the API server knows which")
    elif not (claims.unmatched or claims.uncounted or claims.lacks_slices):
        yield holds(f"no pod holds one of {entities} GPUs or MIG instances, so the label pod is empty everywhere")


def _sentence_case(text: str) -> str:
    return text[:1].upper() + text[1:]
