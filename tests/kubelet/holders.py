"""Who holds which device, as kubelet's list says it, in a form that tests compare."""

from podresources.allocations import Allocation, Allocations
from podresources.client import PodResourcesClient
from tests.waiting import NotYet, wait_for

Held = dict[str, set[str]]
"""Device ids by holder, written namespace/pod/container."""


def held_in(allocations: Allocations) -> Held:
    """Sort what kubelet lists by who holds it."""
    held: Held = {}
    for one in allocations:
        assert isinstance(one, Allocation)
        held.setdefault(f"{one.namespace}/{one.pod}/{one.container}", set()).add(one.device_id)
    return held


def wait_for_holders(client: PodResourcesClient, *holders: str) -> Held:
    """Wait until exactly these containers hold devices; returns which."""

    def look() -> Held:
        held = held_in(client.list())
        if held.keys() != set(holders):
            raise NotYet(f"kubelet lists {held}")
        return held

    return wait_for(f"the listing of {', '.join(holders) or 'nobody'}", look)
