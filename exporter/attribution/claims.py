"""From kubelet's allocations to claims: which container holds which entity, by a device plugin or by DRA."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from exporter.attribution.device_ids import DeviceId, EntityIndex, parse_device_id
from exporter.model import Entity, Holder, Labels
from podresources.allocations import Allocation, Allocations, ClaimAllocation

DRA_DRIVER = "gpu.nvidia.com"


class OwnerSource(StrEnum):
    """What said that a container holds an entity."""

    DEVICE_PLUGIN = "device_plugin"
    DRA = "dra"
    NONE = "none"


class DraDevice(NamedTuple):
    """A device of a ResourceSlice: its own UUID, and where it is a MIG device its profile and its GPU's UUID.

    A MIG device that is made when a pod needs it has no UUID of its own.
    """

    uuid: str | None
    mig_profile: str | None = None
    parent_uuid: str | None = None


DeviceName = tuple[str, str]
"""A device's pool and its name there."""

DraDevices = Mapping[DeviceName, DraDevice]
"""Devices of driver gpu.nvidia.com by pool and name."""

AdminAccess = Mapping[tuple[str, str], frozenset[tuple[str, str]]]
"""By claim, its namespace and name: pool and name of each device that it only looks at, by admin access."""


class Dra(NamedTuple):
    """What the API server says of DRA: the devices, and what claims only look at; None where claims are not read."""

    devices: DraDevices = MappingProxyType({})
    admin_access: AdminAccess | None = None

    def knows(self, held: ClaimAllocation) -> bool:
        """Tell whether enough is known to say what an allocation is."""
        claim = held.claim_namespace, held.claim_name
        return bool(self.devices) and (self.admin_access is None or claim in self.admin_access)

    def only_looks(self, held: ClaimAllocation) -> bool:
        """Tell whether an allocation is by admin access, which shares the device with whoever holds it."""
        claim = held.claim_namespace, held.claim_name
        return self.admin_access is not None and (held.pool, held.device) in self.admin_access.get(claim, ())


class Claim(NamedTuple):
    """A container holds an entity, or a share of it.

    `exclusive` is the id that no second pod should be given, None where pods may share a claim. `extra` are labels of
    this claim alone.
    """

    entity: Entity
    holder: Holder
    source: OwnerSource
    exclusive: str | None
    extra: Labels = ()

    @property
    def pod(self) -> tuple[str, str]:
        """The claiming pod's namespace and name."""
        return self.holder.namespace, self.holder.pod


class Claims(NamedTuple):
    """Who holds what, and what can't be said.

    Attributes:
        claims: All claims.
        unmatched: Ids that mean no entity.
        misnamed: Entities that such an id names all the same, as GPU-uuid-3 does.
        uncounted: Entities that are listed under a resource that does not count, with the resource.
        lacks_slices: Whether there are DRA claims that nothing can be said about.
    """

    claims: tuple[Claim, ...]
    unmatched: frozenset[str] = frozenset()
    misnamed: frozenset[Entity] = frozenset()
    uncounted: frozenset[tuple[Entity, str]] = frozenset()
    lacks_slices: bool = False


@dataclass(frozen=True, slots=True)
class Resources:
    """Which extended resources are GPUs: NVIDIA's names, its MIG prefix, and more by name."""

    more: frozenset[str] = frozenset()

    def __contains__(self, resource: object) -> bool:
        return isinstance(resource, str) and (
            resource in {"nvidia.com/gpu", "nvidia.com/gpu.shared"}
            or resource.startswith("nvidia.com/mig-")
            or resource in self.more
        )


def find_claims(
    allocations: Allocations, entities: EntityIndex, resources: Resources, dra: Dra, *, name_shares: bool
) -> Claims:
    """Join allocations with entities.

    Args:
        allocations: What kubelet lists; neither order nor repetition matters.
        entities: What can be held on this node.
        resources: Which resources of device plugins are GPUs.
        dra: What the API server says of DRA devices and claims.
        name_shares: Add the label vgpu with the number of a shared GPU's replica.
    """
    by_plugin = {
        held: _of_plugin(held, entities, name_shares=name_shares)
        for held in allocations
        if isinstance(held, Allocation)
    }
    by_dra = [held for held in allocations if isinstance(held, ClaimAllocation) and held.driver == DRA_DRIVER]
    names = {held: entities.find_within(held.device_id) for held, claim in by_plugin.items() if claim is None}
    found = [(held.device_id, claim) for held, claim in by_plugin.items() if held.resource in resources]
    found += [(held.device_id, None) for held, named in names.items() if named is not None]
    of_devices = _find_devices(by_dra, entities, dra.devices)
    found += [
        (f"{held.pool}/{held.device}", _of_dra(held, of_devices, dra.devices))
        for held in by_dra
        if dra.knows(held) and not dra.only_looks(held)
    ]
    return Claims(
        claims=tuple(dict.fromkeys(claim for _, claim in found if claim is not None)),
        unmatched=frozenset(name for name, claim in found if claim is None),
        misnamed=frozenset(named for named in names.values() if named is not None),
        uncounted=frozenset(
            (claim.entity, held.resource)
            for held, claim in by_plugin.items()
            if claim is not None and held.resource not in resources
        ),
        lacks_slices=not all(map(dra.knows, by_dra)),
    )


def _of_plugin(held: Allocation, entities: EntityIndex, *, name_shares: bool) -> Claim | None:
    device = parse_device_id(held.device_id)
    entity = None if device is None else entities.find(device)
    if device is None or entity is None:
        return None
    extra = (("vgpu", device.replica),) if name_shares and device.replica is not None else ()
    holder = Holder(held.namespace, held.pod, held.container)
    return Claim(entity, holder, OwnerSource.DEVICE_PLUGIN, held.device_id, extra)


def _of_dra(held: ClaimAllocation, entities: Mapping[DeviceName, Entity], devices: DraDevices) -> Claim | None:
    name = held.pool, held.device
    if name not in entities:
        return None
    device, entity = devices[name], entities[name]
    extra = [
        ("dra_claim_name", held.claim_name),
        ("dra_claim_namespace", held.claim_namespace),
        ("dra_device_name", held.device),
        ("dra_driver_name", held.driver),
        ("dra_pool_name", held.pool),
    ]
    if device.mig_profile is not None:
        extra += [("dra_mig_device_uuid", _uuid_of(device, entity)), ("dra_mig_profile", device.mig_profile)]
    holder = Holder(held.namespace, held.pod, held.container)
    return Claim(entity, holder, OwnerSource.DRA, None, tuple(extra))


def _find_devices(
    held: Iterable[ClaimAllocation], entities: EntityIndex, devices: DraDevices
) -> dict[DeviceName, Entity]:
    """Return the entities of the devices that are held, as far as they are certain.

    A device is found by its UUID. A MIG device that is not is its GPU's instance of the profile, if there is only one,
    and no other device is that one: a new instance is seen some seconds after its pod has it.
    """
    known = {name: devices[name] for name in ((each.pool, each.device) for each in held) if name in devices}
    by_uuid, by_profile = {}, {}
    for name, device in known.items():
        found = None if device.uuid is None else entities.find(DeviceId(uuid=device.uuid))
        if found is not None:
            by_uuid[name] = found
        elif device.parent_uuid is not None:
            by_profile[name] = entities.find_instance(device.parent_uuid, device.mig_profile or "")
    devices_of = Counter((*by_uuid.values(), *by_profile.values()))
    certain = {name: entity for name, entity in by_profile.items() if entity is not None and devices_of[entity] == 1}
    return by_uuid | certain


def _uuid_of(device: DraDevice, entity: Entity) -> str:
    uuids = entity.instance.uuids if entity.instance is not None else ()
    if device.uuid in uuids or len(uuids) != 1:
        return device.uuid or ""
    return uuids[0]
