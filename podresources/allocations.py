"""Allocations: which container of which pod holds which device, as plain data, read from kubelet's List answer."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:  # the data stays usable without protobuf in memory
    from podresources.v1.podresources_pb2 import ContainerResources, ListPodResourcesResponse


class Allocation(NamedTuple):
    """A device that a device plugin offers, held by a container.

    `device_id` is the plugin's own name for the device, or for one share of it; its form is the plugin's affair.
    """

    namespace: str
    pod: str
    container: str
    resource: str
    device_id: str


class ClaimAllocation(NamedTuple):
    """A device of dynamic resource allocation (DRA), held by a container through a ResourceClaim.

    Driver, pool and device together name a device of a ResourceSlice. Several claims can each have a part of it;
    `share_id` tells the parts apart, and is empty where the device is held as a whole.
    """

    namespace: str
    pod: str
    container: str
    driver: str
    pool: str
    device: str
    claim_namespace: str
    claim_name: str
    share_id: str = ""


Allocations = tuple[Allocation | ClaimAllocation, ...]
"""Each allocation once, in an order that depends on nothing but the allocations themselves."""


def parse_allocations(answer: "ListPodResourcesResponse") -> Allocations:
    """Return who holds what, the same for every order and grouping in which kubelet may list it.

    Containers that hold nothing are not in it, and a device that a container is listed with twice is in it once.
    """
    found = {
        allocation
        for pod in answer.pod_resources
        for container in pod.containers
        for allocation in _held(pod.namespace, pod.name, container)
    }
    return tuple(sorted(found))


def _held(namespace: str, pod: str, container: "ContainerResources") -> Iterator[Allocation | ClaimAllocation]:
    for devices in container.devices:
        for device_id in devices.device_ids:
            yield Allocation(namespace, pod, container.name, devices.resource_name, device_id)
    for claim in container.dynamic_resources:
        for device in claim.claim_resources:
            yield ClaimAllocation(
                namespace,
                pod,
                container.name,
                device.driver_name,
                device.pool_name,
                device.device_name,
                claim.claim_namespace,
                claim.claim_name,
                device.share_id,
            )
