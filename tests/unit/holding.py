"""Who holds what, for tests of attribution: GPUs and MIG instances, and allocations as kubelet lists them."""

from exporter.attribution.claims import AdminAccess, Claims, Dra, DraDevices, Resources, find_claims
from exporter.attribution.device_ids import EntityIndex
from exporter.model import Entity, Gpu, Instance
from podresources.allocations import Allocation, Allocations, ClaimAllocation

GPU_RESOURCE = "nvidia.com/gpu"


def gpu(index: int, minor: int | None = None) -> Entity:
    """Return a GPU with the UUID GPU-0000000N-…; its minor number is its index unless it is stated."""
    uuid = f"GPU-{index:08x}-1c2d-4e5f-8a9b-0123456789ab"
    bus = f"00000000:{index:02X}:00.0"
    return Entity(Gpu(index, uuid, bus, index if minor is None else minor, "NVIDIA H100 80GB HBM3"))


def instance(of: Entity, gpu_instance_id: int, compute: int = 1) -> Entity:
    """Return a MIG instance of a GPU, with as many compute instances, and UUIDs that begin with MIG-."""
    index = of.gpu.index
    uuids = tuple(f"MIG-{index:04x}{gpu_instance_id:02x}{n:02x}-1c2d-5e5f-8a9b-0123456789ab" for n in range(compute))
    return Entity(of.gpu, Instance(gpu_instance_id, "1g.10gb", uuids))


def uuid_of(entity: Entity, compute: int = 0) -> str:
    """Return the id by which a device plugin gives an entity to a pod."""
    return entity.gpu.uuid if entity.instance is None else entity.instance.uuids[compute]


def held(device: Entity | str, pod: str = "team-a/web-0/main", resource: str = GPU_RESOURCE) -> Allocation:
    """Return a device plugin's allocation; `pod` is written namespace/pod/container."""
    namespace, name, container = pod.split("/")
    return Allocation(namespace, name, container, resource, device if isinstance(device, str) else uuid_of(device))


def claimed(device: str, pod: str = "team-a/web-0/main", claim: str = "web-0-gpu", share: str = "") -> ClaimAllocation:
    """Return an allocation by DRA of a device of the pool node-1."""
    namespace, name, container = pod.split("/")
    return ClaimAllocation(namespace, name, container, "gpu.nvidia.com", "node-1", device, namespace, claim, share)


def claims_of(
    allocations: Allocations,
    *entities: Entity,
    dra: DraDevices | None = None,
    admin_access: AdminAccess | None = None,
    name_shares: bool = False,
) -> Claims:
    """Join allocations with entities."""
    known = Dra(dra or {}, admin_access)
    return find_claims(allocations, EntityIndex(entities), Resources(), known, name_shares=name_shares)
