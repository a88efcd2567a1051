"""The loop once more where the GPUs alone are made up: real kubelet, real containers, the exporter's own image."""

import json
import re
import time
from collections.abc import Iterator

import pytest

from tests.cluster import enclosure
from tests.cluster.certificates import NODE_NAME
from tests.e2e.cases import Table
from tests.e2e.cluster import Cluster
from tests.e2e.prometheus import targets
from tests.e2e.real_gpu_node import RealGpuNode
from tests.e2e.workloads import Workload, autoscaler, deployment
from tests.kubelet.pods import container

WITHIN_S = 120.0
NAMESPACE = "real"
THERE = {"kubernetes.io/hostname": NODE_NAME}


@pytest.fixture(scope="module")
def node(installed: Cluster, table: Table) -> Iterator[RealGpuNode]:
    began = time.monotonic()
    with RealGpuNode(installed, enclosure.FOLDER / NODE_NAME) as node:
        table.took("a real node joins", time.monotonic() - began)
        yield node


@pytest.fixture
def work(cluster: Cluster, node: RealGpuNode) -> Workload:
    """An idle Deployment on the real node, with its autoscaler."""
    node.set_load(NAMESPACE, 0)
    infer = deployment("infer", NAMESPACE, container("work", gpus=1), nodeSelector=THERE)
    cluster.kubectl("apply", manifests=[infer, autoscaler("infer", NAMESPACE)])
    return Workload(cluster, "infer", NAMESPACE)


def test_one_to_four_and_back_on_a_real_node(work: Workload, node: RealGpuNode, table: Table) -> None:
    table.becomes("real node: the exporters' targets", "up up up", see_exporters, WITHIN_S)
    table.becomes("real node: an idle pod's gpu_utilization", "0", work.utilization, WITHIN_S)
    node.set_load(NAMESPACE, 1.8)
    table.becomes("real node: replicas under a load of 1.8 GPUs", "4", work.replicas, WITHIN_S)
    table.becomes("real node: where they are", " ".join([NODE_NAME] * 4), work.nodes, WITHIN_S)
    table.becomes("real node: gpu_utilization of the four", "45 45 45 45", work.utilization, WITHIN_S)
    node.set_load(NAMESPACE, 0.1)
    table.becomes("real node: replicas when the load is gone", "1", work.replicas, WITHIN_S)


def test_doctor_in_the_exporters_pod_sees_its_node_and_kubelet(work: Workload, node: RealGpuNode, table: Table) -> None:
    table.becomes("real node: the pod runs", "1", work.replicas, WITHIN_S)
    told = node.in_exporter("gpu-metrics-exporter", "doctor", "--json")
    marks = {one["link"]: f"{one['mark']} {one['seen']}" for one in json.loads(told)["findings"]}
    table.is_("doctor in the pod: driver", re.compile("holds MOCK GPUs of .*scenario.yaml.*"), marks["driver"])
    table.is_("doctor in the pod: socket", re.compile("holds kubelet answers on .*"), marks["socket"])
    table.is_("doctor in the pod: allocations", re.compile("holds held: 1 of 14 .*, by pods: 1"), marks["allocations"])
    table.is_(
        "doctor in the pod: exporter", re.compile("holds exporters that answer: 1, of MOCK GPUs"), marks["exporter"]
    )
    table.is_("doctor in the pod: api", re.compile("unseen this pod can't ask the API server: .*"), marks["api"])


@pytest.mark.full
def test_kubelet_restarts_in_the_middle_and_nothing_changes(work: Workload, node: RealGpuNode, table: Table) -> None:
    node.set_load(NAMESPACE, 1.8)
    table.becomes("kubelet restarts: replicas before", "4", work.replicas, WITHIN_S)
    table.becomes("kubelet restarts: gpu_utilization before", "45 45 45 45", work.utilization, WITHIN_S)
    with node.without_kubelet():
        table.stays("kubelet restarts: gpu_utilization while it is away", "45 45 45 45", work.utilization, 5)
    table.stays("kubelet restarts: gpu_utilization from its start on", "45 45 45 45", work.utilization, 20)
    table.stays("kubelet restarts: replicas after it", "4", work.replicas, 5)


def see_exporters() -> str:
    return " ".join(health for _, health in targets("dcgm-exporter"))
