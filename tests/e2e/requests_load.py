"""Requests that wait: spread over the pods of a model server, however many there are now."""

import http.client
import json
import threading

from tests.cluster.rounds import Rounds
from tests.e2e.model_server import PORT
from tests.e2e.node_agent import NodeAgent
from tests.e2e.real_pod import RealPod

_ROUND_S = 0.2
_TIMEOUT_S = 2.0


class RequestsLoad(Rounds):
    """Requests by namespace and the pods' label `app`; it works from `with` on, in a thread."""

    def __init__(self, agent: NodeAgent) -> None:
        super().__init__("requests", _ROUND_S)
        self._agent = agent
        self._waiting: dict[tuple[str, str], float] = {}
        self._told: dict[tuple[str, int], float] = {}  # by pod and how often it has been started again
        self._lock = threading.Lock()

    def set(self, namespace: str, app: str, waiting: float) -> None:
        """Let so many requests wait from now on."""
        with self._lock:
            self._waiting[namespace, app] = waiting

    def _round(self) -> None:
        with self._lock:
            waiting = dict(self._waiting)
        for (namespace, app), count in waiting.items():
            self._spread(self._pods(namespace, app), count)

    def _pods(self, namespace: str, app: str) -> list[RealPod]:
        pods = self._agent.real_pods()
        return [pod for pod in pods if pod.name.startswith(f"{namespace}/") and pod.labels.get("app") == app]

    def _spread(self, pods: list[RealPod], count: float) -> None:
        for pod in pods:
            key, part = (pod.uid, pod.restarts), count / len(pods)
            if self._told.get(key) != part and _tell(pod.address, part):
                self._told[key] = part


def _tell(address: str, waiting: float) -> bool:
    connection = http.client.HTTPConnection(address, PORT, timeout=_TIMEOUT_S)
    try:
        connection.request("PUT", "/requests", json.dumps({"waiting": waiting}))
        return connection.getresponse().status == http.client.OK
    except OSError:  # it does not listen yet, or no longer
        return False
    finally:
        connection.close()
