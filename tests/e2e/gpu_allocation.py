"""Who holds which GPU on a node: what a device plugin and kubelet do together, for pods that kwok plays.

kubelet's answer is given by a fake kubelet at the node's own socket, where the exporter asks.
"""

import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from types import TracebackType
from typing import Self

import yaml

from exporter.mock import MockNvml, load_scenario
from podresources.fake_kubelet import FakeKubelet
from podresources.fake_pods import Container, Pod
from tests.e2e.api import Object

KUBELET_FOLDER = Path("var/lib/kubelet/pod-resources")
"""Where kubelet's socket lies, below a node's root."""

DeviceIds = Mapping[str, Sequence[str]]
"""What a node offers: ids by resource."""
Holding = Mapping[str, Sequence[str]]
_ContainerId = tuple[str, str]  # the pod's uid and the container's name
_Place = tuple[str, str]  # the pod's namespace and name


class GpuAllocation:
    """The devices of one node and who holds them."""

    def __init__(self, offered: DeviceIds, root: Path) -> None:
        self.offered = offered
        self._held: dict[_ContainerId, tuple[_Place, Holding]] = {}
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
        """Give devices to pods that are new on the node, and take back those of pods that are gone or have ended.

        kubelet lists pods without devices, too.
        """
        wanted = {
            (pod["metadata"]["uid"], container["name"]): (pod, self._limits(container))
            for pod in pods
            if pod["status"].get("phase") in ("Pending", "Running")
            for container in pod["spec"]["containers"]
        }
        kept = {key: held for key, held in self._held.items() if key in wanted}
        for key, (pod, limits) in wanted.items():
            if key not in kept:
                kept[key] = (_place(pod), self._take_all(kept, limits))
        if kept != self._held:
            self._held = kept
            self._kubelet.set_pods(self._listing())

    def held(self) -> Mapping[tuple[str, str], int]:
        """Return how many devices each pod holds, by namespace and name."""
        found: Counter[tuple[str, str]] = Counter()
        for place, holding in ((place, holding) for place, holding in self._held.values() if holding):
            found[place] += sum(map(len, holding.values()))
        return found

    def _limits(self, container: Object) -> Mapping[str, int]:
        limits = container.get("resources", {}).get("limits", {})
        return {resource: int(count) for resource, count in limits.items() if resource in self.offered}

    def _take_all(self, held: Mapping[_ContainerId, tuple[_Place, Holding]], limits: Mapping[str, int]) -> Holding:
        taken = {one for _, holding in held.values() for ids in holding.values() for one in ids}
        return {resource: self._take(taken, resource, count) for resource, count in limits.items()}

    def _take(self, taken: AbstractSet[str], resource: str, count: int) -> Sequence[str]:
        free = [one for one in self.offered[resource] if one not in taken]
        if len(free) < count:
            raise RuntimeError(f"{count} {resource} asked for, {len(free)} free: the scheduler has not counted")
        return tuple(free[:count])

    def _listing(self) -> Iterable[Pod]:
        containers: dict[str, list[Container]] = {}
        places: dict[str, _Place] = {}
        for (uid, name), (place, holding) in self._held.items():
            places[uid] = place
            containers.setdefault(uid, []).append(Container(name, holding))
        return [Pod(*places[uid], found) for uid, found in containers.items()]


def _place(pod: Object) -> tuple[str, str]:
    return pod["metadata"]["namespace"], pod["metadata"]["name"]


def offer_of(scenario: Object, shared: int, replicas: int) -> DeviceIds:
    """Return what a device plugin would offer on a node with a scenario's GPUs.

    Args:
        scenario: The mock's, as an object.
        shared: Which of the whole GPUs is offered several times, as nvidia.com/gpu.shared.
        replicas: How often.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(scenario, file)
        file.flush()
        offered = MockNvml(load_scenario(file.name), time).devices()
    whole = list(offered["nvidia.com/gpu"])
    one = whole.pop(shared)
    return {
        **offered,
        "nvidia.com/gpu": whole,
        "nvidia.com/gpu.shared": [f"{one}::{replica}" for replica in range(replicas)],
    }
