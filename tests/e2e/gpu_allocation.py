"""Who holds which GPU on a node: what a device plugin and kubelet do together, for pods that kwok plays.

kubelet's answer is given by a fake kubelet at the node's own socket, where the exporter asks.
"""

import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from exporter.nvml.mock import MockNvml, load_scenario
from podresources.fake_kubelet import FakeKubelet
from podresources.fake_pods import Container, Pod
from tests.e2e.api import Object

KUBELET_FOLDER = Path("var/lib/kubelet/pod-resources")
"""Where kubelet's socket lies, below a node's root."""

DeviceIds = Mapping[str, Sequence[str]]
"""What a node offers: ids by resource."""
Holding = Mapping[str, Sequence[str]]


class GpuAllocation:
    """The devices of one node and who holds them."""

    def __init__(self, offered: DeviceIds, root: Path) -> None:
        self.offered = offered
        self._held: dict[tuple[str, str], Holding] = {}  # by pod's uid and container's name
        self._pods: dict[str, tuple[str, str]] = {}
        (root / KUBELET_FOLDER).mkdir(parents=True, exist_ok=True)
        self._kubelet = FakeKubelet(root / KUBELET_FOLDER / "kubelet.sock")

    def __enter__(self) -> Self:
        self._kubelet.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._kubelet.__exit__(kind, error, trace)

    def follow(self, pods: Iterable[Object]) -> None:
        """Give devices to pods that are new on the node, and take back those of pods that are gone or have ended."""
        wanted = {
            (pod["metadata"]["uid"], container["name"]): (pod, self._limits(container))
            for pod in pods
            if pod["status"].get("phase") in ("Pending", "Running")
            for container in pod["spec"]["containers"]
        }
        wanted = {key: (pod, limits) for key, (pod, limits) in wanted.items() if limits}
        kept = {key: held for key, held in self._held.items() if key in wanted}
        for key, (_, limits) in wanted.items():
            if key not in kept:
                kept[key] = {resource: self._take(kept, resource, count) for resource, count in limits.items()}
        if kept != self._held:
            self._held = kept
            self._pods = {uid: _place(pod) for (uid, _), (pod, _) in wanted.items()}
            self._kubelet.set_pods(self._listing())

    def held(self) -> Mapping[tuple[str, str], int]:
        """Return how many devices each pod holds, by namespace and name."""
        found: Counter[tuple[str, str]] = Counter()
        for (uid, _), holding in self._held.items():
            found[self._pods[uid]] += sum(map(len, holding.values()))
        return found

    def _limits(self, container: Object) -> Mapping[str, int]:
        limits = container.get("resources", {}).get("limits", {})
        return {resource: int(count) for resource, count in limits.items() if resource in self.offered}

    def _take(self, held: Mapping[Any, Holding], resource: str, count: int) -> Sequence[str]:
        taken = {one for holding in held.values() for one in holding.get(resource, ())}
        free = [one for one in self.offered[resource] if one not in taken]
        if len(free) < count:
            raise RuntimeError(f"{count} {resource} asked for, {len(free)} free: the scheduler has not counted")
        return tuple(free[:count])

    def _listing(self) -> Iterable[Pod]:
        containers: dict[str, list[Container]] = {}
        for (uid, name), holding in self._held.items():
            containers.setdefault(uid, []).append(Container(name, holding))
        return [Pod(*self._pods[uid], found) for uid, found in containers.items()]


def _place(pod: Object) -> tuple[str, str]:
    return pod["metadata"]["namespace"], pod["metadata"]["name"]


def offer_of(scenario: Object, shared: Mapping[int, int] | None = None) -> DeviceIds:
    """Return what a device plugin would offer on a node with a scenario's GPUs.

    Args:
        scenario: The mock's, as an object.
        shared: GPUs that are offered several times each, by index, as nvidia.com/gpu.shared.
    """
    offered: dict[str, list[str]] = {}
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(scenario, file)
        file.flush()
        nvml = MockNvml(load_scenario(file.name), time)
    nvml.nvmlInit()
    for index in range(nvml.nvmlDeviceGetCount()):
        gpu = nvml.nvmlDeviceGetHandleByIndex(index)
        uuid = nvml.nvmlDeviceGetUUID(gpu)
        profiles = scenario_mig(scenario, index)
        if profiles:
            for number, profile in enumerate(profiles):
                device = nvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, number)
                offered.setdefault(f"nvidia.com/mig-{profile}", []).append(nvml.nvmlDeviceGetUUID(device))
        elif shared and index in shared:
            replicas = [f"{uuid}::{replica}" for replica in range(shared[index])]
            offered.setdefault("nvidia.com/gpu.shared", []).extend(replicas)
        else:
            offered.setdefault("nvidia.com/gpu", []).append(uuid)
    return offered


def scenario_mig(scenario: Object, index: int) -> list[str]:
    """Return the MIG profiles of a GPU, which must be of one kind: which device is which is then no question."""
    gpus = [gpu for gpu in scenario["gpus"] for _ in range(gpu.get("count", 1))]
    profiles: list[str] = gpus[index].get("mig", [])
    if len(set(profiles)) > 1:
        raise NotImplementedError("MIG devices of several profiles on one GPU")
    return profiles
