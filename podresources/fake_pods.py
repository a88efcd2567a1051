"""Plain pods for the fake kubelet, and the answers that a kubelet makes of them."""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from podresources.v1 import podresources_pb2 as v1

_Entry = TypeVar("_Entry")


@dataclass(frozen=True, slots=True)
class ClaimedDevice:
    """A device of a ResourceSlice that a claim was given."""

    driver: str
    pool: str
    name: str
    share_id: str = ""
    cdi_devices: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class ResourceClaim:
    """A ResourceClaim that a container uses."""

    namespace: str
    name: str
    devices: Sequence[ClaimedDevice] = ()


@dataclass(frozen=True, slots=True)
class Container:
    """A container, with the ids that device plugins gave it, by resource, and its claims."""

    name: str
    devices: Mapping[str, Sequence[str]] = field(default_factory=dict)
    claims: Sequence[ResourceClaim] = ()


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod as PodResources knows it; without containers it is listed all the same."""

    namespace: str
    name: str
    containers: Sequence[Container] = ()


def list_answer(pods: Iterable[Pod], order: random.Random) -> v1.ListPodResourcesResponse:
    """Return a List answer; its entries are in an order that differs from call to call, as in kubelet's."""
    answers = [pod_answer(pod, order) for pod in pods]
    order.shuffle(answers)
    return v1.ListPodResourcesResponse(pod_resources=answers)


def pod_answer(pod: Pod, order: random.Random) -> v1.PodResources:
    """Return what Get and List say about one pod."""
    return v1.PodResources(
        namespace=pod.namespace,
        name=pod.name,
        containers=[
            v1.ContainerResources(
                name=container.name,
                devices=_shuffled(_entries(container.devices), order),
                dynamic_resources=_shuffled((_claim_answer(claim) for claim in container.claims), order),
            )
            for container in pod.containers
        ],
    )


def allocatable_answer(devices: Mapping[str, Sequence[str]], order: random.Random) -> v1.AllocatableResourcesResponse:
    """Return a GetAllocatableResources answer for all device ids of a node, by resource."""
    return v1.AllocatableResourcesResponse(devices=_shuffled(_entries(devices), order))


def _entries(devices: Mapping[str, Sequence[str]]) -> Iterator[v1.ContainerDevices]:
    """Yield one entry for each id: kubelet does not group the ids of a resource."""
    for resource, ids in devices.items():
        for device_id in ids:
            yield v1.ContainerDevices(resource_name=resource, device_ids=[device_id])


def _claim_answer(claim: ResourceClaim) -> v1.DynamicResource:
    return v1.DynamicResource(
        claim_namespace=claim.namespace,
        claim_name=claim.name,
        claim_resources=[
            v1.ClaimResource(
                driver_name=device.driver,
                pool_name=device.pool,
                device_name=device.name,
                share_id=device.share_id or None,
                cdi_devices=[v1.CDIDevice(name=name) for name in device.cdi_devices],
            )
            for device in claim.devices
        ],
    )


def _shuffled(entries: Iterable[_Entry], order: random.Random) -> list[_Entry]:
    found = list(entries)
    order.shuffle(found)
    return found
