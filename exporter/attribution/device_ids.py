"""The device ids of PodResources, in every form that device plugins give them, and the entities they mean."""

import re
from collections.abc import Iterable
from typing import NamedTuple

from exporter.model import Entity

_NUMBER = "[0-9]{1,9}"
_NAME = re.compile(rf"nvidia(?P<minor>{_NUMBER})(?:/gi(?P<instance>{_NUMBER}))?(?:/vgpu(?P<replica>{_NUMBER}))?")
_NAME_WITHIN = re.compile(rf"nvidia(?P<minor>{_NUMBER})(?![0-9])")
_UUID = re.compile(r"(?:GPU|MIG)-[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_OLD_MIG = re.compile(rf"MIG-(?P<uuid>GPU-[0-9a-fA-F-]+)/(?P<instance>{_NUMBER})/{_NUMBER}")


class DeviceId(NamedTuple):
    """A device id taken apart: a UUID or a minor number, then a MIG instance's number and the share's, if any."""

    uuid: str | None = None
    minor: int | None = None
    gpu_instance_id: int | None = None
    replica: str | None = None


def parse_device_id(text: str) -> DeviceId | None:
    """Take a device id apart.

    Returns:
        The parts of GPU-uuid, MIG-uuid, MIG-GPU-uuid/gi/ci (drivers before R470), nvidia0, nvidia0/gi2, nvidia0/vgpu1
        and nvidia0/gi2/vgpu1 (GKE), each with ::replica or not; None for any other form.
    """
    base, separator, share = text.partition("::")
    replica = share if separator else None
    if old := _OLD_MIG.fullmatch(base):
        return DeviceId(uuid=old["uuid"], gpu_instance_id=int(old["instance"]), replica=replica)
    if base.startswith(("GPU-", "MIG-")):
        return DeviceId(uuid=base, replica=replica)
    if name := _NAME.fullmatch(base):
        instance = name["instance"]
        return DeviceId(
            minor=int(name["minor"]),
            gpu_instance_id=None if instance is None else int(instance),
            replica=replica if name["replica"] is None else name["replica"],
        )
    return None


class EntityIndex:
    """Finds the entity that a device id means, among GPUs and MIG instances."""

    def __init__(self, entities: Iterable[Entity]) -> None:
        self._by_uuid: dict[str, Entity] = {}
        self._by_minor: dict[int, Entity] = {}
        self._instances: dict[tuple[str | int, int], Entity] = {}
        self._gpus: dict[str | int, Entity] = {}  # with those that are here as their instances alone
        for entity in entities:
            gpu, instance = entity.gpu, entity.instance
            self._gpus[gpu.uuid] = self._gpus[gpu.minor] = Entity(gpu)
            if instance is None:
                self._by_uuid[gpu.uuid] = entity
                self._by_minor[gpu.minor] = entity
            else:
                self._by_uuid |= dict.fromkeys(instance.uuids, entity)
                for key in (gpu.uuid, gpu.minor):
                    self._instances[key, instance.gpu_instance_id] = entity

    def find(self, device: DeviceId) -> Entity | None:
        """Return the entity, or None if none of this node's exported ones is meant."""
        if device.gpu_instance_id is not None:
            key = device.uuid if device.uuid is not None else device.minor
            return None if key is None else self._instances.get((key, device.gpu_instance_id))
        if device.uuid is not None:
            return self._by_uuid.get(device.uuid)
        return None if device.minor is None else self._by_minor.get(device.minor)

    def find_instance(self, gpu_uuid: str, profile: str) -> Entity | None:
        """Return the MIG instance that a GPU has of a profile, if it has exactly one."""
        of_gpu = (entity for (gpu, _), entity in self._instances.items() if gpu == gpu_uuid)
        found = [entity for entity in of_gpu if entity.instance is not None and entity.instance.profile == profile]
        return found[0] if len(found) == 1 else None

    def find_within(self, text: str) -> Entity | None:
        """Return what an id that `find` does not know names: the entity whose UUID or nvidiaN it contains."""
        if name := _NAME_WITHIN.match(text):
            return self._gpus.get(int(name["minor"]))
        found = (self._by_uuid.get(uuid) or self._gpus.get(uuid) for uuid in _UUID.findall(text))
        return next(filter(None, found), None)
