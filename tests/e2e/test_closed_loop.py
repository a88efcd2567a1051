"""The loop closed: pods hold GPUs and share the load, so that each is less busy the more they are."""

import re

import pytest

from tests.e2e.cases import Table
from tests.e2e.cluster import Cluster
from tests.e2e.guide_files import gpu_autoscaler
from tests.e2e.release import BURSTS_INSTANT, BURSTS_TRUE, INSTANT
from tests.e2e.symptoms import holders, series
from tests.e2e.workloads import GPU, MIG_DEVICE, SHARED_GPU, Workload, autoscaler, deployment, holding

WITHIN_S = 120.0
ON_GPU0 = {"kubernetes.io/hostname": "gpu0"}


def test_one_to_four_under_load_and_back(cluster: Cluster, table: Table) -> None:
    """With the guide's autoscaler, as it is printed."""
    work = Workload(cluster, "gpu-workload", "default")
    cluster.kubectl("apply", manifests=[deployment("gpu-workload", "default"), gpu_autoscaler()])
    table.becomes("1 → 4: an idle pod's gpu_utilization", "0", work.utilization, WITHIN_S)
    cluster.load.set("default", 1.8)
    table.becomes("1 → 4: replicas under a load of 1.8 GPUs", "4", work.replicas, WITHIN_S)
    table.becomes("1 → 4: gpu_utilization of the four", "45 45 45 45", work.utilization, WITHIN_S)
    table.stays("1 → 4: replicas at 45 of 50 %", "4", work.replicas, 12)
    cluster.load.set("default", 0.1)
    table.becomes("1 → 4: replicas when the load is gone", "1", work.replicas, WITHIN_S)


def test_bursts_hold_their_replicas_by_true_load_and_not_by_the_value_of_the_moment(
    cluster: Cluster, table: Table
) -> None:
    """The same work twice: busy for half of a second each on two GPUs, then for a tenth of it on one."""
    steady, shaken = Workload(cluster, "infer", BURSTS_TRUE), Workload(cluster, "infer", BURSTS_INSTANT)
    counts: set[str] = set()

    def work(gpus: float, target: str) -> None:
        for one, metric in ((steady, "gpu_utilization"), (shaken, INSTANT)):
            cluster.load.set(one.namespace, gpus)
            manifests = [deployment("infer", one.namespace), autoscaler("infer", one.namespace, {metric: target})]
            cluster.kubectl("apply", manifests=manifests)

    def steady_and_counted() -> str:
        counts.update(re.findall(r"^\d+$", shaken.replicas()))
        return steady.replicas()

    work(1.0, target="50")
    table.becomes("half busy: replicas by true load", "2", steady.replicas, WITHIN_S)
    halves = re.compile("(4[5-9]|5[0-5]) (4[5-9]|5[0-5])")
    table.becomes("half busy: gpu_utilization of the two", halves, steady.utilization, WITHIN_S)
    table.stays("half busy: replicas by true load", "2", steady_and_counted, 30)
    table.is_("half busy: replicas by the moment meanwhile", re.compile(r"\d( \d)+"), " ".join(sorted(counts)))
    work(0.1, target="30")
    for case, one in (("true load", steady), ("the moment, at times", shaken)):
        table.becomes(f"a tenth busy: replicas by {case}", "1", one.replicas, WITHIN_S)
    both = "a tenth busy: by true load, and by the moment"
    table.becomes(both, re.compile("1, [2-4]"), lambda: f"{steady.replicas()}, {shaken.replicas()}", WITHIN_S)


@pytest.mark.full
def test_two_autoscalers_in_two_namespaces_on_one_node(cluster: Cluster, table: Table) -> None:
    busy, calm = Workload(cluster, "infer", "team-a"), Workload(cluster, "infer", "team-b")
    for one in (busy, calm):
        manifests = [deployment("infer", one.namespace, nodeSelector=ON_GPU0), autoscaler("infer", one.namespace)]
        cluster.kubectl("apply", manifests=manifests)
    cluster.load.set("team-a", 1.8)
    cluster.load.set("team-b", 0.4)
    table.becomes("two namespaces: replicas of the busy one", "4", busy.replicas, WITHIN_S)
    table.becomes("two namespaces: its gpu_utilization", "45 45 45 45", busy.utilization, WITHIN_S)
    table.becomes("two namespaces: the calm one's", "40", calm.utilization, WITHIN_S)
    table.stays("two namespaces: replicas of the calm one", "1", calm.replicas, 12)


@pytest.mark.full
def test_pod_with_several_gpus_has_their_mean(cluster: Cluster, table: Table) -> None:
    work = Workload(cluster, "train", "team-a")
    manifests = [deployment("train", "team-a", holding(GPU, 2), nodeSelector=ON_GPU0), autoscaler("train", "team-a")]
    cluster.kubectl("apply", manifests=manifests)
    cluster.load.set("team-a", 0.8)
    table.becomes("two GPUs: one value for the pod", "40", work.utilization, WITHIN_S)
    cluster.load.set("team-a", 1.8)
    table.becomes("two GPUs: replicas at 90 %", "2", work.replicas, WITHIN_S)
    table.becomes("two GPUs: gpu_utilization of both pods", "45 45", work.utilization, WITHIN_S)
    table.stays("two GPUs: replicas at 45 of 50 %", "2", work.replicas, 12)


@pytest.mark.full
def test_pods_that_share_a_gpu_all_see_all_of_it(cluster: Cluster, table: Table) -> None:
    work = Workload(cluster, "notebook", "team-a")
    shared = deployment("notebook", "team-a", holding(SHARED_GPU), nodeSelector=ON_GPU0)
    cluster.kubectl("apply", manifests=[shared, autoscaler("notebook", "team-a")])
    cluster.load.set("team-a", 0.4)
    table.becomes("time-sliced GPU: gpu_utilization of a pod", "40", work.utilization, WITHIN_S)
    table.stays("time-sliced GPU: replicas at 40 of 50 %", "1", work.replicas, 12)
    cluster.load.set("team-a", 0.9)
    table.becomes("time-sliced GPU: replicas at 90 %", "4", work.replicas, WITHIN_S)
    table.becomes("time-sliced GPU: gpu_utilization of the four", "90 90 90 90", work.utilization, WITHIN_S)


@pytest.mark.full
def test_pods_on_mig_devices_scale_on_their_own_activity(cluster: Cluster, table: Table) -> None:
    work = Workload(cluster, "small", "team-a")
    divided = deployment("small", "team-a", holding(MIG_DEVICE), nodeSelector=ON_GPU0)
    cluster.kubectl("apply", manifests=[divided, autoscaler("small", "team-a", {"gpu_engine_active_ratio": "500m"})])
    cluster.load.set("team-a", 0.4 / 7)
    table.becomes(
        "MIG: activity of one device", re.compile("[34]..m"), lambda: work.metric("gpu_engine_active_ratio"), WITHIN_S
    )
    cluster.load.set("team-a", 1.8 / 7)
    table.becomes("MIG: replicas under a load of 1.8 devices", "4", work.replicas, WITHIN_S)
    table.becomes(
        "MIG: activity of the four",
        re.compile(r"(4..m ?){4}"),
        lambda: work.metric("gpu_engine_active_ratio"),
        WITHIN_S,
    )


@pytest.mark.full
def test_idle_gpus_count_for_nobody(cluster: Cluster, table: Table) -> None:
    work = Workload(cluster, "infer", "team-a")
    cluster.kubectl("apply", manifests=[deployment("infer", "team-a", nodeSelector=ON_GPU0)])
    cluster.load.set("team-a", 0.9)
    table.becomes("idle GPUs: gpu_utilization of the only pod", "90", work.utilization, WITHIN_S)
    table.becomes("idle GPUs: series without a pod", "13", lambda: series('pod=""'), WITHIN_S)
    others = 'pod=~".+",pod!~"infer-.+"'
    table.becomes("idle GPUs: series with a pod that holds none", "0", lambda: series(others), 30)
    table.is_("idle GPUs: gpu_utilization in monitoring", "none", holders(cluster, "monitoring"))
