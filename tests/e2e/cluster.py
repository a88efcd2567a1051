"""The whole stack: control plane, nodes that kwok plays, and what makes their pods real. It runs enclosed."""

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.chart.helm import CHART, Helm
from tests.cluster.control_plane import ControlPlane, Extras
from tests.cluster.programs import Program
from tests.cluster.rounds import Rounds
from tests.e2e.api import Api
from tests.e2e.gpu_allocation import DeviceIds, offer_of
from tests.e2e.images import make_images
from tests.e2e.keda import NAMESPACE as KEDA
from tests.e2e.keda import keda_objects, keda_programs, make_certificate
from tests.e2e.kwok_node import SILENCE_S, KwokNodes, node
from tests.e2e.load import Load
from tests.e2e.network import ServiceNames, make_network
from tests.e2e.node_agent import NodeAgent
from tests.e2e.prometheus import NAMESPACE, must_follow, operator_program, prometheus_objects
from tests.e2e.release import EXPORTER, RELEASE, REPLICAS, WHOLE, scenario, values
from tests.e2e.requests_load import RequestsLoad
from tests.waiting import NotYet, wait_for

TOOLS = ("etcd", "kubernetes", "helm", "prometheus", "adapter", "operator", "kwok", "keda")
_START_S = 60.0
_END_S = 60.0
_ROUND_S = 0.2
_OF_OTHERS = {("app.kubernetes.io/managed-by", "Helm"), ("provider", "kubernetes")}
"""Labels of what belongs to a release, or to the cluster itself."""
INFRASTRUCTURE = "infra"
"""The node without a GPU, where all that is no GPU workload runs."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How often things happen."""

    hpa_sync_s: float
    hpa_stabilization_s: float
    scrape_interval: str


GUIDE = Pace(hpa_sync_s=15, hpa_stabilization_s=300, scrape_interval="15s")
"""Kubernetes' own defaults, and the guide's interval."""
FAST = Pace(hpa_sync_s=5, hpa_stabilization_s=10, scrape_interval="2s")
"""For tests that ask what happens, not when."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a cluster is like.

    Attributes:
        nodes: Nodes with GPUs; there is one more without.
        namespaces: Namespaces of workloads; each has a load of its own.
    """

    nodes: Sequence[str]
    namespaces: Sequence[str]
    pace: Pace


class Cluster:
    """A cluster with Prometheus and KEDA, from `with` on; the chart is not in it yet."""

    def __init__(self, tools: Mapping[str, Path], manifests: Path, folder: Path, plan: Plan) -> None:
        self.plan = plan
        self.control_plane = ControlPlane(
            tools, folder, Extras(aggregates=True, controller_flags=_controller_flags(plan.pace))
        )
        self.kubectl = self.control_plane.kubectl
        self.get = self.control_plane.get
        self.helm = Helm(tools["helm"])
        self._tools = tools
        self._manifests = manifests
        self._folder = folder
        self._programs: list[Program] = []
        self._rounds: list[Rounds] = []
        self._stack = ExitStack()
        self._kwoks = KwokNodes(self.control_plane, manifests, folder)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self.control_plane)
            make_network(self._folder / "hosts")
            self.api = stack.enter_context(Api(self.control_plane.certificates))
            self._apply_kinds()
            self._create_namespaces()
            self._start_nodes(stack)
            self._start_operators(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def must_run(self) -> None:
        """Raise what has ended a part of the cluster, if one has ended."""
        self.control_plane.must_run()
        self.agent.must_run()
        for rounds in self._rounds:
            rounds.must_run()
        for program in self._programs:
            program.must_run()

    @contextmanager
    def without_node(self, name: str) -> Iterator[None]:
        """Let a node fall silent, with all that runs on it, and come back at the end of `with`."""
        self._kwoks.lose(name)
        self.agent.lose(name)
        try:
            yield
        finally:
            self.agent.find(name)
            self._kwoks.find(name)

    @contextmanager
    def without_gpu_nodes(self) -> Iterator[None]:
        """Have the node without a GPU alone, until the end of `with`; what runs on the others must not matter."""
        self.kubectl("delete", "node", *self.plan.nodes)
        try:
            yield
        finally:
            self._apply_nodes(self.plan.nodes)

    def clear(self) -> None:
        """Take away what tests have made in the namespaces of workloads, and wait until their pods are gone.

        What belongs to a release stays.
        """
        self.requests.clear()
        for namespace in self.plan.namespaces:
            self.load.set(namespace, 0)
            for path in (
                f"/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers",
                f"/apis/keda.sh/v1alpha1/namespaces/{namespace}/scaledobjects",
                f"/apis/apps/v1/namespaces/{namespace}/deployments",
                f"/api/v1/namespaces/{namespace}/services",
            ):
                self._delete_all(path)
        for namespace in self.plan.namespaces:
            wait_for(f"the end of all pods in {namespace}", partial(self.must_be_empty, namespace), _END_S)

    def must_be_empty(self, namespace: str) -> None:
        """Raise NotYet while a namespace has pods."""
        if left := [pod["metadata"]["name"] for pod in self.api.get(f"/api/v1/namespaces/{namespace}/pods")]:
            raise NotYet(" ".join(left))

    def _delete_all(self, path: str) -> None:
        for one in self.api.get(path):
            meta = one["metadata"]
            if not meta.get("labels", {}).items() & _OF_OTHERS and "ownerReferences" not in meta:
                self.api.delete(f"{path}/{meta['name']}")

    def keep_logs(self, folder: str) -> None:
        """Copy all that was said to a folder which stays: programs, and containers by their pod."""
        shutil.copytree(self.control_plane.logs, folder, dirs_exist_ok=True)
        for log in self._folder.glob("nodes/pods/*/*.log"):
            shutil.copy(log, Path(folder) / f"{log.parent.name}_{log.name}")

    def install(self) -> None:
        """Install the chart, as the guide does, and wait for nothing."""
        self.run_helm("install", self._values)

    @contextmanager
    def values(self, **more: Any) -> Iterator[None]:
        """Upgrade the release to more values, until the end of `with`."""
        self.run_helm("upgrade", {**self._values, **more})
        try:
            yield
        finally:
            self.run_helm("upgrade", self._values)

    def run_helm(self, verb: str, values: Mapping[str, Any], *arguments: str) -> str:
        """Return what helm prints when it installs or upgrades the release with these values."""
        where = ("--namespace", NAMESPACE, "--kubeconfig", str(self.control_plane.certificates / "admin.kubeconfig"))
        given = json.dumps(dict(values))
        return self.helm.run(verb, RELEASE, str(CHART), *where, "--values=-", *arguments, given=given)

    @property
    def _values(self) -> Mapping[str, Any]:
        return values(self.plan.namespaces, self.plan.pace.scrape_interval)

    def _apply_kinds(self) -> None:
        """Add kinds to the API, and wait until it has them: an operator that starts earlier never looks again."""
        files = [f"--filename={file}" for file in sorted(self._manifests.glob("kind-*.yaml"))]
        applied = self.kubectl("apply", "--server-side", "-o=name", *files)
        kinds = ",".join(line.rpartition("/")[2] for line in applied.split())

        def look() -> None:
            try:
                self.kubectl("get", kinds, "--all-namespaces")
            except RuntimeError as error:
                raise NotYet(str(error)) from None

        wait_for(f"the kinds {kinds}", look, _START_S)

    def _start_nodes(self, stack: ExitStack) -> None:
        offered = offer_of(scenario(self.plan.namespaces), WHOLE, REPLICAS)
        self._devices: dict[str, DeviceIds] = {INFRASTRUCTURE: {}, **dict.fromkeys(self.plan.nodes, offered)}
        for program in self._kwoks.start(tuple(self._devices)).values():
            self._keep(stack, program)
        self._apply_nodes(self._devices)
        images, folder = make_images(self._tools), self._folder / "nodes"
        self.agent = stack.enter_context(NodeAgent(self.api, images, self._devices, folder))
        self.load = Load(self.agent, EXPORTER, self.plan.namespaces)
        self.requests = RequestsLoad(self.agent)
        names = ServiceNames(self.api, Path("/etc/hosts"))
        for what in (self.load.tell_all, self.requests.tell_all, names.follow):
            self._rounds.append(stack.enter_context(Rounds(what.__qualname__, _ROUND_S, what)))

    def _apply_nodes(self, names: Iterable[str]) -> None:
        self.kubectl("apply", manifests=[node(name, self._devices[name]) for name in names])

    def _start_operators(self, stack: ExitStack) -> None:
        pki = self.control_plane.certificates
        for program in (
            operator_program(self.control_plane),
            *keda_programs(self.control_plane, make_certificate(pki)),
        ):
            program.start()
            self._keep(stack, program)
        self.kubectl("apply", manifests=[*prometheus_objects(), *keda_objects(pki)])
        wait_for("Prometheus", must_follow, _START_S)

    def _keep(self, stack: ExitStack, program: Program) -> None:
        stack.callback(program.kill)
        self._programs.append(program)

    def _create_namespaces(self) -> None:
        names = {NAMESPACE, KEDA, *self.plan.namespaces} - {"default"}
        heads = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in sorted(names)]
        self.kubectl("apply", manifests=heads)
        for name in (*names, "default"):
            self.control_plane.wait_for_service_account(name)


def _controller_flags(pace: Pace) -> tuple[str, ...]:
    return (
        f"--horizontal-pod-autoscaler-sync-period={pace.hpa_sync_s}s",
        f"--horizontal-pod-autoscaler-downscale-stabilization={pace.hpa_stabilization_s}s",
        f"--node-monitor-grace-period={SILENCE_S}s",
    )
