"""What kubelet and a device plugin would do, for nodes that kwok plays: runs pods that are real, hands out GPUs."""

import threading
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.cluster.rounds import Rounds
from tests.e2e.api import Api, ApiError, Object, Unreachable
from tests.e2e.gpu_allocation import KUBELET_FOLDER, DeviceIds, GpuAllocation
from tests.e2e.images import Images
from tests.e2e.real_pod import RealPod, is_real

_ROUND_S = 0.2
_PODS = "/api/v1/pods?resourceVersion=0"
_KWOK = "/apis/kwok.x-k8s.io/v1alpha1/namespaces"
_ANY: Mapping[str, str] = {}


class NodeAgent:
    """All nodes' agent; it works from `with` on, in a thread."""

    def __init__(self, api: Api, images: Images, nodes: Mapping[str, DeviceIds], folder: Path) -> None:
        self.allocations = {name: GpuAllocation(offered, folder / name) for name, offered in nodes.items()}
        self._api = api
        self._images = images
        self._folder = folder
        self._pods: dict[str, RealPod] = {}
        self._unreached: list[RealPod] = []
        self._ends: dict[str, threading.Thread] = {}  # by address
        self._lost: set[str] = set()
        self._lock = threading.Lock()
        self._rounds = Rounds("node agent", _ROUND_S, self._round)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for allocation in self.allocations.values():
                stack.enter_context(allocation)
            stack.callback(self._stop_pods)
            stack.enter_context(self._rounds)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def must_run(self) -> None:
        """Raise what has ended the agent or what starts a pod's programs, if it has ended."""
        self._rounds.must_run()
        for pod in self.real_pods():
            pod.must_run()

    def real_pods(self, node: str | None = None, labels: Mapping[str, str] = _ANY) -> list[RealPod]:
        """Return the pods that run, on one node or on all, with these labels among theirs."""
        with self._lock:
            here = [pod for pod in self._pods.values() if node in (None, pod.spec["nodeName"])]
        return [pod for pod in here if labels.items() <= pod.labels.items()]

    def kubelet_socket(self, node: str) -> Path:
        """Return where a node's kubelet serves PodResources."""
        return self._folder / node / KUBELET_FOLDER / "kubelet.sock"

    def lose(self, node: str) -> None:
        """Let a node fall silent: its programs end at once, and nothing is done there any more."""
        with self._lock:
            self._lost.add(node)
            gone = [pod for pod in self._pods.values() if pod.spec["nodeName"] == node]
            for pod in gone:
                del self._pods[pod.uid]
        for pod in gone:
            pod.stop(at_once=True)

    def find(self, node: str) -> None:
        """Let a lost node work again."""
        with self._lock:
            self._lost.discard(node)

    def _round(self) -> None:
        with suppress(Unreachable, ApiError):  # kubelet goes on without it, too
            self._follow(self._api.get(_PODS))

    def _stop_pods(self) -> None:
        for pod in self._pods.values():
            pod.stop(at_once=True)

    def _follow(self, pods: list[Object]) -> None:
        with self._lock:
            here = [pod for pod in pods if self._node(pod) in self.allocations.keys() - self._lost]
            for name, allocation in self.allocations.items():
                allocation.follow(pod for pod in here if self._node(pod) == name)
            wanted = {pod["metadata"]["uid"]: pod for pod in here if self._is_to_run(pod)}
            gone = [self._pods.pop(uid) for uid in self._pods.keys() - wanted.keys()]
            new = [self._real_pod(wanted[uid]) for uid in wanted.keys() - self._pods.keys()]
            self._pods |= {pod.uid: pod for pod in new}
        for pod in gone:
            self._ends[pod.address] = threading.Thread(target=pod.stop, name=f"end of {pod.name}", daemon=True)
            self._ends[pod.address].start()
        for pod in new:
            pod.start(after=self._ends.pop(pod.address, None))
        self._unreached += new
        while self._unreached:
            self._let_kubectl_reach(self._unreached[0])
            del self._unreached[0]

    def _is_to_run(self, pod: Object) -> bool:
        is_running = pod["status"].get("phase") == "Running" and "podIP" in pod["status"]
        return is_running and "deletionTimestamp" not in pod["metadata"] and is_real(self._images, pod)

    def _real_pod(self, pod: Object) -> RealPod:
        node = pod["spec"]["nodeName"]
        return RealPod(self._api, self._images, pod, self._folder / "pods", self._folder / node)

    def _let_kubectl_reach(self, pod: RealPod) -> None:
        """Tell kwok what `kubectl port-forward` of a pod leads to."""
        namespace, name = pod.name.split("/")
        path, content = f"{_KWOK}/{namespace}/portforwards", _forwards(pod, name)
        try:
            self._api.create(path, content)
        except ApiError:  # one of the same name is there, of an earlier pod
            self._api.patch(f"{path}/{name}", content)

    @staticmethod
    def _node(pod: Object) -> str:
        name: str = pod["spec"].get("nodeName", "")
        return name


def _forwards(pod: RealPod, name: str) -> Object:
    ports = [port["containerPort"] for one in pod.spec["containers"] for port in one.get("ports", ())]
    forwards = [{"ports": [port], "target": {"address": pod.address, "port": port}} for port in ports]
    return {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "PortForward",
        "metadata": {"name": name},
        "spec": {"forwards": forwards},
    }
