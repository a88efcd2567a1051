"""The load of the cluster's workloads: work that the pods of a namespace share, wherever they run.

The mock of a node knows that node's pods alone. So each node's part of a demand is what its pods hold of all GPUs that
the demand's pods hold, and it is told to each exporter again whenever that changes, or an exporter has started anew:
load does not end with the program that measures it.
"""

import json
import threading
from collections.abc import Mapping, Sequence

from tests.e2e.node_agent import NodeAgent
from tests.e2e.real_pod import RealPod

STEERING_PORT = 9401


class Load:
    """Demands by namespace, in GPUs."""

    def __init__(self, agent: NodeAgent, exporter: Mapping[str, str], namespaces: Sequence[str]) -> None:
        self._agent = agent
        self._exporter = exporter
        self._demands = dict.fromkeys(namespaces, 0.0)
        self._told: dict[tuple[RealPod, str], tuple[int, float]] = {}  # how often it had been started again, and what
        self._lock = threading.Lock()

    def set(self, namespace: str, gpus: float) -> None:
        """Let the pods of a namespace have so much to do from now on.

        Raises:
            KeyError: The exporters know of no load in this namespace.
        """
        if namespace not in self._demands:
            raise KeyError(namespace)
        with self._lock:
            self._demands[namespace] = gpus
            self._tell_all()

    def tell_all(self) -> None:
        """Tell each exporter its parts, where they are others than it was told; called again and again."""
        with self._lock:
            self._tell_all()

    def _tell_all(self) -> None:
        exporters = {pod.spec["nodeName"]: pod for pod in self._agent.real_pods(labels=self._exporter)}
        for namespace, gpus in self._demands.items():
            held = {node: self._held(node, namespace) for node in exporters}
            total = sum(held.values())
            for node, pod in exporters.items():
                self._tell(pod, namespace, gpus * held[node] / total if total else 0.0)

    def _tell(self, pod: RealPod, namespace: str, gpus: float) -> None:
        key, news = (pod, namespace), (pod.restarts, gpus)
        if self._told.get(key) == news:
            return
        url = f"http://127.0.0.1:{STEERING_PORT}/demands/{namespace}"
        try:
            pod.execute("curl", "-sSf", "-m", "2", "-X", "PUT", url, "-d", json.dumps({"gpus": gpus}))
        except RuntimeError:  # it does not listen yet, or no longer
            return
        self._told[key] = news

    def _held(self, node: str, namespace: str) -> int:
        return sum(count for (where, _), count in self._agent.allocations[node].held().items() if where == namespace)
