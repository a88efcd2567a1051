"""Parts of the chain fall away under load: nothing that is busy is scaled down, and all goes on by itself."""

import re

import pytest

from tests.e2e.cases import Table
from tests.e2e.cluster import Cluster
from tests.e2e.prometheus import NAME, query
from tests.e2e.real_pod import RealPod
from tests.e2e.release import EXPORTER
from tests.e2e.workloads import Workload, autoscaler, deployment

WITHIN_S = 120.0
pytestmark = pytest.mark.full


@pytest.fixture
def busy(cluster: Cluster, table: Table) -> Workload:
    """A workload that its load has brought to four replicas."""
    work = Workload(cluster, "infer", "team-a")
    cluster.kubectl("apply", manifests=[deployment("infer", "team-a"), autoscaler("infer", "team-a")])
    cluster.load.set("team-a", 1.8)
    table.becomes("trouble: replicas before", "4", work.replicas, WITHIN_S)
    table.becomes("trouble: gpu_utilization before", "45 45 45 45", work.utilization, WITHIN_S)
    return work


def exporters(cluster: Cluster) -> list[RealPod]:
    return [pod for pod in cluster.agent.real_pods() if EXPORTER.items() <= pod.labels.items()]


def test_exporter_crashes_and_starts_again(cluster: Cluster, busy: Workload, table: Table) -> None:
    for pod in exporters(cluster):
        pod.kill("exporter")
    table.stays("exporter crashes: replicas", "4", busy.replicas, 20)
    table.becomes("exporter crashes: gpu_utilization after", "45 45 45 45", busy.utilization, WITHIN_S)


def test_exporter_hangs_for_a_while(cluster: Cluster, busy: Workload, table: Table) -> None:
    [first, second] = exporters(cluster)
    with first.frozen("exporter"), second.frozen("exporter"):
        table.becomes("exporter hangs: gpu_utilization", re.compile("404 .*|"), busy.utilization, WITHIN_S)
        table.becomes(
            "exporter hangs: the autoscaler",
            re.compile(".*ScalingActive False FailedGetPodsMetric.*"),
            busy.autoscaler_says,
            WITHIN_S,
        )
        table.stays("exporter hangs: replicas", "4", busy.replicas, 20)
    table.becomes("exporter hangs: gpu_utilization after", "45 45 45 45", busy.utilization, WITHIN_S)


def test_exporter_is_rolled_out_anew(cluster: Cluster, busy: Workload, table: Table) -> None:
    cluster.kubectl("rollout", "restart", "daemonset/dcgm-exporter", "-n", "monitoring")
    table.stays("exporter restarted: replicas", "4", busy.replicas, 20)
    table.becomes("exporter restarted: gpu_utilization after", "45 45 45 45", busy.utilization, WITHIN_S)


def test_prometheus_restarts_without_its_data(cluster: Cluster, busy: Workload, table: Table) -> None:
    cluster.kubectl("delete", "pod", f"prometheus-{NAME}-0", "-n", "monitoring")
    table.stays("Prometheus restarted: replicas", "4", busy.replicas, 30)
    table.becomes("Prometheus restarted: gpu_utilization after", "45 45 45 45", busy.utilization, WITHIN_S)


def test_node_is_lost(cluster: Cluster, table: Table) -> None:
    work = Workload(cluster, "infer", "team-a")
    leave_soon = [
        {"key": f"node.kubernetes.io/{what}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 2}
        for what in ("unreachable", "not-ready")
    ]
    gpu = {"key": "nvidia.com/gpu", "operator": "Exists"}
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": {"app": "infer"}},
    }
    manifest = deployment("infer", "team-a", tolerations=[gpu, *leave_soon], topologySpreadConstraints=[spread])
    cluster.kubectl("apply", manifests=[manifest, autoscaler("infer", "team-a")])
    cluster.load.set("team-a", 1.8)
    table.becomes("node lost: where the four pods are", "gpu0 gpu0 gpu1 gpu1", work.nodes, WITHIN_S)
    table.becomes("node lost: gpu_utilization before", "45 45 45 45", work.utilization, WITHIN_S)
    with cluster.without_node("gpu1"):
        table.becomes("node lost: where the four are then", "gpu0 gpu0 gpu0 gpu0", work.nodes, WITHIN_S)
        table.becomes("node lost: gpu_utilization after", "45 45 45 45", work.utilization, WITHIN_S)
        table.stays("node lost: where they stay", "gpu0 gpu0 gpu0 gpu0", work.nodes, 12)
        table.is_("node lost: its series", "0", series_of("gpu1"))
    table.becomes("node lost: its series when it is back", "7", lambda: series_of("gpu1"), WITHIN_S)


def series_of(node: str) -> str:
    found = query(f'count(DCGM_FI_DEV_GPU_UTIL{{Hostname="{node}"}}) or vector(0)')
    return f"{found[0][1]:g}"
