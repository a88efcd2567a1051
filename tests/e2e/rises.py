"""Rises of the load, one after the other on one node, and when each part of the chain knew of each."""

import json
import random
import re
import time
from dataclasses import dataclass
from typing import Any

from tests.e2e.cluster import Cluster
from tests.e2e.load import STEERING_PORT
from tests.e2e.port_forward import fetch
from tests.e2e.prometheus import NAMESPACE, ask
from tests.e2e.real_pod import RealPod
from tests.e2e.release import EXPORTER
from tests.e2e.workloads import Workload, autoscaler, deployment
from tests.waiting import NotYet, wait_for

LOAD_GPUS = 1.8
TARGET_PERCENT = 50.0
ENOUGH_PERCENT = TARGET_PERCENT * 1.1
"""Above this an HPA acts: it tolerates a tenth."""
LONGEST_PERIOD_S = 30.0

_WITHIN_S = 120.0
_FIRST_LOOK_S = 60.0


@dataclass(frozen=True, slots=True)
class Rise:
    """What happened when the load rose; seconds since it had.

    Attributes:
        at: When that was, seconds since 1970.
        shown_s: The exporter's page had it.
        scraped_s: Prometheus took a page that had it.
        answered_s: The custom metrics API answered with it.
        scaled_s: The Deployment was to have more replicas.
        ready_s: A new pod was ready.
        replicas: How many it was to have.
    """

    at: float
    shown_s: float
    scraped_s: float
    answered_s: float
    scaled_s: float
    ready_s: float
    replicas: int


class Lane:
    """A node with a namespace whose pods run there, and nothing else's."""

    def __init__(self, cluster: Cluster, node: str, namespace: str, seed: str) -> None:
        self._cluster = cluster
        self._node = node
        self._namespace = namespace
        self._random = random.Random(seed)  # noqa: S311 - phases, not secrets
        self._count = 0

    def rise(self) -> Rise:
        """Bring the load from nothing to more than a pod's GPU can do, at a moment that no period of the chain knows.

        Collections have their phase from the machine's clock. So the exporter's pod is another each time, for which
        Prometheus chooses another phase. What follows has waited for a scrape, so the autoscaler is made after a random
        part of its period. Its first look is waited for, too, so the load rises after a random part of the longest.
        """
        work = self._new_workload()
        time.sleep(self._random.uniform(0, self._cluster.plan.pace.hpa_sync_s))
        self._cluster.api.create(self._autoscalers, autoscaler(work.name, self._namespace))
        wait_for(f"the first look of {work.name}'s autoscaler", lambda: self._must_have_looked(work), _FIRST_LOOK_S)
        time.sleep(self._random.uniform(0, LONGEST_PERIOD_S))
        return self._measure(work)

    def clear(self) -> None:
        """Take the workload away, its autoscaler and the load."""
        self._cluster.load.set(self._namespace, 0)
        for path in (self._autoscalers, self._deployments):
            for one in self._cluster.api.get(path):
                self._cluster.api.delete(f"{path}/{one['metadata']['name']}")
        end = f"the end of all pods in {self._namespace}"
        wait_for(end, lambda: self._cluster.must_be_empty(self._namespace), _WITHIN_S)

    def _new_workload(self) -> Workload:
        """Return a workload of one idle pod, which Prometheus knows to be idle."""
        self.clear()
        self._replace_exporter()
        self._count += 1
        work = Workload(self._cluster, f"rise-{self._count}", self._namespace)
        manifest = deployment(work.name, self._namespace, nodeSelector={"kubernetes.io/hostname": self._node})
        self._cluster.api.create(self._deployments, manifest)
        wait_for(f"{work.name} idle on the exporter's page", lambda: self._must_show(work, 0, 0), _WITHIN_S)
        wait_for(f"{work.name} idle in the custom metrics API", lambda: _must_be("0", work.utilization()), _WITHIN_S)
        return work

    def _replace_exporter(self) -> None:
        old = wait_for(f"the exporter of {self._node}", self._exporter, _WITHIN_S)
        self._cluster.api.delete(f"/api/v1/namespaces/{NAMESPACE}/pods/{old.name.rpartition('/')[2]}")

        def look() -> None:
            if self._exporter().uid == old.uid:
                raise NotYet("the old one")

        wait_for(f"another exporter of {self._node}", look, _WITHIN_S)

    def _measure(self, work: Workload) -> Rise:
        self._cluster.load.set(self._namespace, LOAD_GPUS)
        wait_for("the rise of the load", self._must_have_risen, _WITHIN_S)
        began = time.time()

        def since(what: str, look: Any) -> tuple[float, Any]:
            found = wait_for(f"{what} of {work.name}", look, _WITHIN_S)
            return time.time() - began, found

        shown_s, _ = since("the page", lambda: self._must_show(work, ENOUGH_PERCENT, 100))
        answered_s, _ = since("the adapter's answer", lambda: _must_exceed(ENOUGH_PERCENT, work.utilization()))
        scaled_s, replicas = since("the scale-up", lambda: self._wanted(work))
        ready_s, _ = since("a new pod", lambda: self._must_have_two_ready(work))
        scraped_s = self._scraped(work, began) - began
        return Rise(began, min(shown_s, scraped_s), scraped_s, answered_s, scaled_s, ready_s, replicas)

    @property
    def _autoscalers(self) -> str:
        return f"/apis/autoscaling/v2/namespaces/{self._namespace}/horizontalpodautoscalers"

    @property
    def _deployments(self) -> str:
        return f"/apis/apps/v1/namespaces/{self._namespace}/deployments"

    def _exporter(self) -> RealPod:
        found = self._cluster.agent.real_pods(self._node, EXPORTER)
        if len(found) != 1:
            raise NotYet(f"{len(found)} exporters")
        return found[0]

    def _must_show(self, work: Workload, low: float, high: float) -> None:
        """Raise NotYet unless the page has the workload's only pod, busy between the two."""
        page = fetch(f"http://{self._exporter().address}:9400/metrics")
        pattern = rf'^DCGM_FI_DEV_GPU_UTIL{{.*namespace="{self._namespace}",pod="{work.name}-.* (\S+)$'
        found = re.findall(pattern, page, re.MULTILINE)
        if len(found) != 1 or not low <= float(found[0]) <= high:
            raise NotYet(str(found))

    def _must_have_looked(self, work: Workload) -> None:
        self._cluster.must_run()
        status = self._cluster.api.get(f"{self._autoscalers}/{work.name}-hpa").get("status", {})
        values = [one["pods"]["current"]["averageValue"] for one in status.get("currentMetrics") or () if "pods" in one]
        _must_be("0", " ".join(values))

    def _must_have_risen(self) -> None:
        state = self._exporter().execute("curl", "-sSf", "-m", "2", f"http://127.0.0.1:{STEERING_PORT}/state")
        _must_be(str(LOAD_GPUS), str(json.loads(state)["demands"][self._namespace]["gpus"]))

    def _wanted(self, work: Workload) -> int:
        replicas: int = self._cluster.api.get(f"{self._deployments}/{work.name}")["spec"]["replicas"]
        if replicas == 1:
            raise NotYet("1 replica")
        return replicas

    def _must_have_two_ready(self, work: Workload) -> None:
        ready: int = self._cluster.api.get(f"{self._deployments}/{work.name}")["status"].get("readyReplicas", 0)
        if ready < 2:
            raise NotYet(f"{ready} ready")

    def _scraped(self, work: Workload, began: float) -> float:
        """Return when Prometheus took the first page on which the pod was busy."""
        series = f'DCGM_FI_DEV_GPU_UTIL{{namespace="{self._namespace}",pod=~"{work.name}-.+"}}[5m]'
        samples = [sample for one in ask("query", query=series)["result"] for sample in one["values"]]
        return min(float(at) for at, value in samples if float(at) > began and float(value) >= ENOUGH_PERCENT)


def _must_be(expected: str, seen: str) -> None:
    if seen != expected:
        raise NotYet(seen)


def _must_exceed(percent: float, seen: str) -> None:
    if not seen or min(map(float, seen.split())) < percent:
        raise NotYet(seen)
