"""What a running mock tells about itself, as plain data for JSON."""

from typing import Any

from exporter.mock.machine.demands import Demand
from exporter.mock.machine.device import MockGpu
from exporter.mock.machine.drive import Drive
from exporter.mock.machine.faults import describe_fault
from exporter.mock.machine.machine import Machine
from exporter.mock.machine.pods import MockPod


def state_of(machine: Machine) -> dict[str, Any]:
    """Return a machine's GPUs, demands and pods as they are now; `t_s` is seconds since it began."""
    t = machine.now()
    return {
        "t_s": t,
        "gpus": [_gpu(gpu, t) for gpu in machine.gpus],
        "demands": {name: _demand(demand) for name, demand in machine.demands.items()},
        "pods": [_pod(pod) for pod in machine.mock_pods()],
    }


def _gpu(gpu: MockGpu, t: float) -> dict[str, Any]:
    instances = [
        {"device": instance.index, "uuid": instance.uuid, "profile": instance.kind, **_load(instance.drive, t)}
        for instance in gpu.instances
    ]
    return {
        "gpu": gpu.index,
        "uuid": gpu.uuid,
        "minor": gpu.minor,
        "model": gpu.profile.model,
        **_load(gpu.drive, t),
        "mig": instances,
        "faults": [describe_fault(fault) for fault in gpu.gate.faults],
    }


def _load(drive: Drive, t: float) -> dict[str, Any]:
    return {"load_percent": round(100 * drive.activity.value(t), 3), "is_forced": drive.is_forced}


def _demand(demand: Demand) -> dict[str, Any]:
    return {"gpus": demand.gpus, "pods": {"namespace": demand.namespace, "name": demand.name.pattern}}


def _pod(pod: MockPod) -> dict[str, Any]:
    containers = [{"name": container.name, "devices": container.devices} for container in pod.containers]
    return {"namespace": pod.namespace, "name": pod.name, "containers": containers}
