"""The mock's pods, with the device ids and resources by which kubelet would list them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from exporter.mock.machine.demands import Holders, PodName
from exporter.mock.machine.device import MockGpu
from exporter.mock.machine.scenario import IdForm, ScenarioContainer, ScenarioDevice, ScenarioPod

GPU_RESOURCE = "nvidia.com/gpu"
MIG_RESOURCE = "nvidia.com/mig-"


@dataclass(frozen=True, slots=True)
class MockContainer:
    """A container and the ids of the devices that it holds, by resource."""

    name: str
    devices: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class MockPod:
    """A pod as kubelet's PodResources would list it."""

    namespace: str
    name: str
    containers: tuple[MockContainer, ...]


def mock_pods(pods: Iterable[ScenarioPod], gpus: Sequence[MockGpu]) -> tuple[MockPod, ...]:
    """Return pods with the ids that their devices have on a machine."""
    return tuple(
        MockPod(pod.namespace, pod.name, tuple(_container(container, gpus) for container in pod.containers))
        for pod in pods
    )


def holders_of(pods: Iterable[ScenarioPod], gpus: Sequence[MockGpu]) -> Holders:
    """Return the pods that hold each device of a machine."""
    found: dict[str, set[PodName]] = {}
    for pod in pods:
        for container in pod.containers:
            for device in container.devices:
                found.setdefault(_uuid(device, gpus), set()).add((pod.namespace, pod.name))
    return {uuid: frozenset(names) for uuid, names in found.items()}


def offered_devices(gpus: Iterable[MockGpu]) -> dict[str, tuple[str, ...]]:
    """Return the UUIDs that a device plugin would offer on a machine, by resource: whole GPUs, and MIG devices."""
    found: dict[str, tuple[str, ...]] = {}
    for gpu in gpus:
        devices = [(f"{MIG_RESOURCE}{one.kind}", one.uuid) for one in gpu.instances] or [(GPU_RESOURCE, gpu.uuid)]
        for resource, uuid in devices:
            found[resource] = (*found.get(resource, ()), uuid)
    return found


def _container(container: ScenarioContainer, gpus: Sequence[MockGpu]) -> MockContainer:
    devices: dict[str, tuple[str, ...]] = {}
    for device in container.devices:
        resource = container.resource or _usual_resource(device, gpus)
        name = _device_name(device, gpus) if container.ids is IdForm.DEVICE_NAME else _uuid_and_replica(device, gpus)
        devices[resource] = (*devices.get(resource, ()), name)
    return MockContainer(container.name, devices)


def _usual_resource(device: ScenarioDevice, gpus: Sequence[MockGpu]) -> str:
    return GPU_RESOURCE if device.mig is None else f"{MIG_RESOURCE}{gpus[device.gpu].instances[device.mig].kind}"


def _uuid(device: ScenarioDevice, gpus: Sequence[MockGpu]) -> str:
    gpu = gpus[device.gpu]
    return gpu.uuid if device.mig is None else gpu.instances[device.mig].uuid


def _uuid_and_replica(device: ScenarioDevice, gpus: Sequence[MockGpu]) -> str:
    return _uuid(device, gpus) + ("" if device.replica is None else f"::{device.replica}")


def _device_name(device: ScenarioDevice, gpus: Sequence[MockGpu]) -> str:
    gpu = gpus[device.gpu]
    instance = "" if device.mig is None else f"/gi{gpu.instances[device.mig].gpu_instance_id}"
    replica = "" if device.replica is None else f"/vgpu{device.replica}"
    return f"nvidia{gpu.minor}{instance}{replica}"
