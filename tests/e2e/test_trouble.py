"""Parts of the chain fall away under load: nothing that is busy is scaled down, and all goes on by itself."""

import re
import time
from collections.abc import Iterator
from functools import partial

import pytest

from tests.e2e.cases import Table
from tests.e2e.cluster import Cluster
from tests.e2e.port_forward import fetch, port_forward
from tests.e2e.prometheus import NAME
from tests.e2e.release import EXPORTER
from tests.e2e.symptoms import last_scaled, series, spread_over_nodes
from tests.e2e.workloads import Workload, autoscaler, deployment

WITHIN_S = 120.0
pytestmark = pytest.mark.full


@pytest.fixture
def busy(cluster: Cluster, table: Table) -> Iterator[Workload]:
    """A workload that its load has brought to four replicas; fails at its end if it was scaled in the test."""
    work = Workload(cluster, "infer", "team-a")
    cluster.kubectl("apply", manifests=[deployment("infer", "team-a"), autoscaler("infer", "team-a")])
    cluster.load.set("team-a", 1.8)
    table.becomes("trouble: replicas before", "4", work.replicas, WITHIN_S)
    table.becomes("trouble: gpu_utilization before", "45 45 45 45", work.utilization, WITHIN_S)
    scaled = last_scaled(cluster, work)
    yield work
    table.is_("trouble: when the HPA has scaled last", scaled, last_scaled(cluster, work))


def test_exporter_crashes_and_starts_again(cluster: Cluster, busy: Workload, table: Table) -> None:
    exporters = cluster.agent.real_pods(labels=EXPORTER)
    before = [pod.restarts for pod in exporters]
    for pod in exporters:
        pod.kill("exporter")
    table.stays("exporter crashes: replicas", "4", busy.replicas, 20)
    table.becomes(
        "exporter crashes: how often each starts again",
        "1 1",
        lambda: " ".join(str(pod.restarts - count) for pod, count in zip(exporters, before, strict=True)),
        WITHIN_S,
    )
    table.becomes("exporter crashes: gpu_utilization after", "45 45 45 45", busy.utilization, WITHIN_S)


def test_exporter_hangs_for_a_while(cluster: Cluster, busy: Workload, table: Table) -> None:
    [first, second] = cluster.agent.real_pods(labels=EXPORTER)
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
    before = uids_of_exporters(cluster)
    cluster.kubectl("rollout", "restart", "daemonset/dcgm-exporter", "-n", "monitoring")
    table.stays("exporter restarted: replicas", "4", busy.replicas, 20)
    table.becomes(
        "exporter restarted: pods of before, and new ones",
        "0 2",
        lambda: f"{len(before & uids_of_exporters(cluster))} {len(uids_of_exporters(cluster) - before)}",
        WITHIN_S,
    )
    table.becomes("exporter restarted: gpu_utilization after", "45 45 45 45", busy.utilization, WITHIN_S)


def test_prometheus_restarts_without_its_data(cluster: Cluster, busy: Workload, table: Table) -> None:
    table.becomes("Prometheus restarted: GPUs that it has", "14", series, WITHIN_S)
    before_s = time.time()
    cluster.kubectl("delete", "pod", f"prometheus-{NAME}-0", "-n", "monitoring")
    table.stays("Prometheus restarted: replicas", "4", busy.replicas, 30)
    table.becomes("Prometheus restarted: GPUs of before that it knows", "0", lambda: series(at_s=before_s), WITHIN_S)
    table.becomes("Prometheus restarted: gpu_utilization after", "45 45 45 45", busy.utilization, WITHIN_S)


def test_node_is_lost(cluster: Cluster, table: Table) -> None:
    work = Workload(cluster, "infer", "team-a")
    leave_soon = [
        {"key": f"node.kubernetes.io/{what}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 2}
        for what in ("unreachable", "not-ready")
    ]
    gpu = {"key": "nvidia.com/gpu", "operator": "Exists"}
    manifest = deployment("infer", "team-a", tolerations=[gpu, *leave_soon], **spread_over_nodes("infer"))
    cluster.kubectl("apply", manifests=[manifest, autoscaler("infer", "team-a")])
    cluster.load.set("team-a", 1.8)
    table.becomes("node lost: where the four pods are", "gpu0 gpu0 gpu1 gpu1", work.nodes, WITHIN_S)
    table.becomes("node lost: gpu_utilization before", "45 45 45 45", work.utilization, WITHIN_S)
    its_series = partial(series, 'Hostname="gpu1"')
    table.becomes("node lost: its series before", "7", its_series, WITHIN_S)
    with cluster.without_node("gpu1"):
        table.becomes("node lost: where the four are then", "gpu0 gpu0 gpu0 gpu0", work.nodes, WITHIN_S)
        table.becomes("node lost: gpu_utilization after", "45 45 45 45", work.utilization, WITHIN_S)
        table.stays("node lost: where they stay", "gpu0 gpu0 gpu0 gpu0", work.nodes, 12)
        table.is_("node lost: its series", "0", its_series())
    table.becomes("node lost: its series when it is back", "7", its_series, WITHIN_S)
    [exporter] = cluster.agent.real_pods("gpu1", EXPORTER)
    with port_forward(cluster, exporter.name.partition("/")[2], 9400, "/ready"):
        table.is_(
            "node lost: what its exporter says when it is back",
            re.compile("GPUs: 8 sampled; owners: .*"),
            fetch("http://localhost:9400/ready").strip(),
        )


def uids_of_exporters(cluster: Cluster) -> set[str]:
    return {pod.uid for pod in cluster.agent.real_pods(labels=EXPORTER)}
