"""A real kubelet that restarts while the loop is closed; the loop itself on a real node is in test_walk_through.py."""

import time
from collections.abc import Iterator

import pytest

from tests.cluster import enclosure
from tests.cluster.certificates import NODE_NAME
from tests.e2e.cases import Table
from tests.e2e.cluster import Cluster
from tests.e2e.real_gpu_node import RealGpuNode, real_gpu_node
from tests.e2e.workloads import Workload, autoscaler, deployment
from tests.kubelet.pods import container

WITHIN_S = 120.0
NAMESPACE = "real"
THERE = {"kubernetes.io/hostname": NODE_NAME}


@pytest.fixture(scope="module")
def node(installed: Cluster, table: Table) -> Iterator[RealGpuNode]:
    began = time.monotonic()
    with real_gpu_node(installed, enclosure.FOLDER / NODE_NAME) as node:
        table.took("a real node joins", time.monotonic() - began)
        yield node


@pytest.fixture
def work(cluster: Cluster, node: RealGpuNode) -> Workload:
    """An idle Deployment on the real node, with its autoscaler."""
    node.set_load(NAMESPACE, 0)
    infer = deployment("infer", NAMESPACE, container("work", gpus=1), nodeSelector=THERE)
    cluster.kubectl("apply", manifests=[infer, autoscaler("infer", NAMESPACE)])
    return Workload(cluster, "infer", NAMESPACE)


@pytest.mark.full
def test_kubelet_restarts_in_the_middle_and_nothing_changes(work: Workload, node: RealGpuNode, table: Table) -> None:
    node.set_load(NAMESPACE, 1.8)
    table.becomes("kubelet restarts: replicas before", "4", work.replicas, WITHIN_S)
    table.becomes("kubelet restarts: gpu_utilization before", "45 45 45 45", work.utilization, WITHIN_S)
    with node.without_kubelet():
        table.stays("kubelet restarts: gpu_utilization while it is away", "45 45 45 45", work.utilization, 5)
    table.stays("kubelet restarts: gpu_utilization from its start on", "45 45 45 45", work.utilization, 20)
    table.stays("kubelet restarts: replicas after it", "4", work.replicas, 5)
