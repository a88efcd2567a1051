"""Requests that wait: spread over the pods of a model server, however many there are now."""

import http.client
import json
import threading

from tests.e2e.model_server import PORT
from tests.e2e.node_agent import NodeAgent
from tests.e2e.real_pod import RealPod

_TIMEOUT_S = 2.0


class RequestsLoad:
    """Requests by namespace and the pods' label `app`."""

    def __init__(self, agent: NodeAgent) -> None:
        self._agent = agent
        self._waiting: dict[tuple[str, str], float] = {}
        self._told: dict[RealPod, tuple[int, float]] = {}  # how often it had been started again, and its part
        self._lock = threading.Lock()

    def set(self, namespace: str, app: str, waiting: float) -> None:
        """Let so many requests wait from now on."""
        with self._lock:
            self._waiting[namespace, app] = waiting

    def clear(self) -> None:
        """Let none wait, wherever some do."""
        with self._lock:
            self._waiting = dict.fromkeys(self._waiting, 0.0)

    def tell_all(self) -> None:
        """Tell each pod its part, where that is another than it was told; called again and again."""
        with self._lock:
            waiting = dict(self._waiting)
        for (namespace, app), count in waiting.items():
            self._spread(self._pods(namespace, app), count)

    def _pods(self, namespace: str, app: str) -> list[RealPod]:
        pods = self._agent.real_pods(labels={"app": app})
        return [pod for pod in pods if pod.name.startswith(f"{namespace}/")]

    def _spread(self, pods: list[RealPod], count: float) -> None:
        for pod in pods:
            news = (pod.restarts, count / len(pods))
            if self._told.get(pod) != news and _tell(pod.address, news[1]):
                self._told[pod] = news


def _tell(address: str, waiting: float) -> bool:
    connection = http.client.HTTPConnection(address, PORT, timeout=_TIMEOUT_S)
    try:
        connection.request("PUT", "/requests", json.dumps({"waiting": waiting}))
        return connection.getresponse().status == http.client.OK
    except OSError:  # it does not listen yet, or no longer
        return False
    finally:
        connection.close()
