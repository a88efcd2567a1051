"""Requests that wait: spread over the pods of a model server, however many there are now."""

import http.client
import json
import threading
from types import TracebackType
from typing import Self

from tests.e2e.model_server import PORT
from tests.e2e.node_agent import NodeAgent
from tests.e2e.real_pod import RealPod

_ROUND_S = 0.2
_TIMEOUT_S = 2.0


class RequestsLoad:
    """Requests by namespace and the pods' label `app`; it works from `with` on, in a thread."""

    def __init__(self, agent: NodeAgent) -> None:
        self._agent = agent
        self._waiting: dict[tuple[str, str], float] = {}
        self._told: dict[tuple[str, int], float] = {}  # by pod and how often it has been started again
        self._lock = threading.Lock()
        self._is_ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="requests", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_ending.set()
        self._thread.join()

    def set(self, namespace: str, app: str, waiting: float) -> None:
        """Let so many requests wait from now on."""
        with self._lock:
            self._waiting[namespace, app] = waiting

    def _run(self) -> None:
        while not self._is_ending.wait(_ROUND_S):
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
