"""What kubelet and a device plugin would do, for nodes that kwok plays: runs pods that are real, hands out GPUs."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.e2e.api import Api, ApiError, Object, Unreachable
from tests.e2e.gpu_allocation import DeviceIds, GpuAllocation
from tests.e2e.images import Images
from tests.e2e.network import addresses_of_services, write_hosts
from tests.e2e.real_pod import RealPod, is_real

_ROUND_S = 0.2
_PODS = "/api/v1/pods?resourceVersion=0"
_SLICES = "/apis/discovery.k8s.io/v1/endpointslices?resourceVersion=0"
_KWOK = "/apis/kwok.x-k8s.io/v1alpha1/namespaces"


class NodeAgent:
    """All nodes' agent; it works from `with` on, in a thread. It also lets the names of Services lead to pods."""

    def __init__(self, api: Api, images: Images, nodes: Mapping[str, DeviceIds], folder: Path) -> None:
        self.allocations = {name: GpuAllocation(offered, folder / name) for name, offered in nodes.items()}
        self._api = api
        self._images = images
        self._folder = folder
        self._hosts = Path("/etc/hosts")
        self._own_hosts = self._hosts.read_text()
        self._pods: dict[str, RealPod] = {}
        self._unreached: list[RealPod] = []
        self._ends: dict[str, threading.Thread] = {}  # by address
        self._lost: set[str] = set()
        self._lock = threading.Lock()
        self._is_ending = threading.Event()
        self._error: BaseException | None = None
        self._stack = ExitStack()
        self._thread = threading.Thread(target=self._run, name="node agent", daemon=True)

    def __enter__(self) -> Self:
        for allocation in self.allocations.values():
            self._stack.enter_context(allocation)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_ending.set()
        self._thread.join()
        for pod in self._pods.values():
            pod.stop(at_once=True)
        self._stack.close()
        self.must_run()

    def must_run(self) -> None:
        """Raise what has ended the agent, if it has ended."""
        if self._error is not None:
            raise self._error

    def real_pods(self, node: str | None = None) -> list[RealPod]:
        """Return the pods that run, on one node or on all."""
        with self._lock:
            return [pod for pod in self._pods.values() if node in (None, pod.spec["nodeName"])]

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

    def _run(self) -> None:
        try:
            while not self._is_ending.wait(_ROUND_S):
                try:
                    self._follow(self._api.get(_PODS))
                    services = addresses_of_services(self._api.get(_SLICES))
                except (Unreachable, ApiError):  # kubelet goes on without it, too
                    continue
                write_hosts(self._hosts, self._own_hosts, services)
        except BaseException as error:  # noqa: BLE001 - raised where somebody waits for the agent's work
            self._error = error

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
        """Tell kwok what `kubectl port-forward` and `kubectl logs` of a pod lead to."""
        for path, content in _reached(pod):
            try:
                self._api.create(path, content)
            except ApiError:  # one of the same name is there, of an earlier pod
                self._api.patch(f"{path}/{content['metadata']['name']}", content)

    @staticmethod
    def _node(pod: Object) -> str:
        name: str = pod["spec"].get("nodeName", "")
        return name


def _reached(pod: RealPod) -> Iterator[tuple[str, Object]]:
    namespace, name = pod.name.split("/")
    head = {"apiVersion": "kwok.x-k8s.io/v1alpha1", "metadata": {"name": name, "namespace": namespace}}
    ports = [port["containerPort"] for one in pod.spec["containers"] for port in one.get("ports", ())]
    forwards = [{"ports": [port], "target": {"address": pod.address, "port": port}} for port in ports]
    yield f"{_KWOK}/{namespace}/portforwards", {**head, "kind": "PortForward", "spec": {"forwards": forwards}}
    logs = [{"containers": [one["name"]], "logsFile": str(pod.log_of(one["name"]))} for one in pod.spec["containers"]]
    yield f"{_KWOK}/{namespace}/logs", {**head, "kind": "Logs", "spec": {"logs": logs}}
