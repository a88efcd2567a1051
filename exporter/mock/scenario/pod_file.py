"""The pods of a scenario's file, and of a request while the mock runs."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from exporter.errors import describe
from exporter.mock.document import Section
from exporter.mock.machine.scenario import IdForm, ScenarioContainer, ScenarioDevice, ScenarioGpu, ScenarioPod

MOST_REPLICAS = 1000

_WORD = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"


class _NameRule(NamedTuple):
    """What Kubernetes takes as a name; it would never list another one."""

    pattern: re.Pattern[str]
    longest: int
    accepts: str

    def takes(self, name: str) -> bool:
        return len(name) <= self.longest and self.pattern.fullmatch(name) is not None


_LABEL = _NameRule(re.compile(_WORD), 63, "at most 63 lower-case letters, digits and -, as in web-0")
_SUBDOMAIN = _NameRule(
    re.compile(rf"{_WORD}(\.{_WORD})*"), 253, "at most 253 lower-case letters, digits, - and ., as in web-0"
)
_RESOURCE = _NameRule(
    re.compile(rf"{_WORD}(\.{_WORD})*/[A-Za-z0-9]([-A-Za-z0-9_.]{{0,61}}[A-Za-z0-9])?"),
    253 + 1 + 63,
    "a domain and a name, as in nvidia.com/gpu",
)


def parse_pods(section: Section, gpus: Sequence[ScenarioGpu]) -> tuple[ScenarioPod, ...]:
    """Return the pods under the key pods.

    Several pods may hold one device: kubelet lists a pod that has ended beside the one that follows it.

    Args:
        section: What has the key.
        gpus: The GPUs that they can hold.

    Raises:
        ConfigError: Names file, key and reason.
    """
    pods: dict[tuple[str, str], ScenarioPod] = {}
    for entry in section.sections("pods"):
        pod = parse_pod(entry, gpus)
        if (pod.namespace, pod.name) in pods:
            raise entry.error("name", f"is {pod.name!r}, but an earlier pod in {pod.namespace} has this name")
        pods[pod.namespace, pod.name] = pod
    return tuple(pods.values())


def parse_pod(section: Section, gpus: Sequence[ScenarioGpu]) -> ScenarioPod:
    """Return the pod that a section describes; as parse_pods."""
    containers: dict[str, ScenarioContainer] = {}
    for entry in section.sections("containers"):
        container = _container(entry, gpus)
        if container.name in containers:
            raise entry.error("name", f"is {container.name!r}, but an earlier container has this name")
        containers[container.name] = container
    namespace, name = _name(section, "namespace", _LABEL), _name(section, "name", _SUBDOMAIN)
    pod = ScenarioPod(namespace, name, tuple(containers.values()))
    section.finish()
    return pod


def _container(section: Section, gpus: Sequence[ScenarioGpu]) -> ScenarioContainer:
    devices = [_device(section, item, f"gpus[{i}]", gpus) for i, item in enumerate(section.items("gpus"))]
    for i, device in enumerate(devices):
        if device in devices[:i]:
            raise section.error(f"gpus[{i}]", "is repeated; a container holds a device once")
    container = ScenarioContainer(
        name=_name(section, "name", _LABEL, "main"),
        devices=tuple(devices),
        resource=_name(section, "resource", _RESOURCE) if section.has("resource") else None,
        ids=IdForm(section.choice("ids", tuple(IdForm), IdForm.UUID)),
    )
    section.finish()
    return container


def _name(section: Section, key: str, rule: _NameRule, default: str | None = None) -> str:
    name = section.text(key, default)
    if not rule.takes(name):
        raise section.error(key, f"is {describe(name)}; expected a name that Kubernetes accepts: {rule.accepts}")
    return name


def _device(section: Section, item: Any, key: str, gpus: Sequence[ScenarioGpu]) -> ScenarioDevice:
    """Return what an entry means: an index, or a mapping that goes further than the GPU."""
    if type(item) is not int and not isinstance(item, Mapping):
        raise section.error(key, f"is {describe(item)}; expected an index or a mapping with gpu, mig and replica")
    entry = section.within({"gpu": item} if isinstance(item, int) else item, key)
    device = ScenarioDevice(
        gpu=entry.integer("gpu", 0, len(gpus) - 1),
        mig=entry.integer("mig", 0, 6) if entry.has("mig") else None,
        replica=entry.integer("replica", 0, MOST_REPLICAS - 1) if entry.has("replica") else None,
    )
    entry.finish()
    mig_devices = sum(len(instance.compute) for instance in gpus[device.gpu].instances)
    if device.mig is None and mig_devices:
        raise section.error(key, f"is GPU {device.gpu} as a whole, which MIG divides; expected {{gpu, mig}}")
    if device.mig is not None and device.mig >= mig_devices:
        raise section.error(key, f"is MIG device {device.mig} of GPU {device.gpu}, which has {mig_devices or 'none'}")
    return device
