"""The guide's own files, taken literally, beside the chart's and in their place: labels decide what an HPA sees."""

import re

import pytest

from tests.e2e.breakages import (
    OTHER_RULES,
    applied,
    honour_labels_by_hand,
    labels_overridden,
    scraped_as_the_guide_says,
    scraped_twice,
)
from tests.e2e.cases import Table
from tests.e2e.cluster import Cluster
from tests.e2e.configuration import CHARTS, GUIDES, load_when
from tests.e2e.doctor_run import NONE, first_broken
from tests.e2e.guide_files import gpu_autoscaler, gpu_rules
from tests.e2e.prometheus import NAMESPACE
from tests.e2e.symptoms import FOUND, NO_VALUE, holders, scaling_active, series
from tests.e2e.workloads import Workload, deployment

WITHIN_S = 120.0
pytestmark = pytest.mark.full


def start(cluster: Cluster, gpus: float) -> Workload:
    """Start the guide's workload, busy, and its autoscaler."""
    cluster.load.set("default", gpus)
    cluster.kubectl("apply", manifests=[deployment("gpu-workload", "default"), gpu_autoscaler()])
    return Workload(cluster, "gpu-workload", "default")


def test_guides_monitor_with_the_guides_rules_never_scales(cluster: Cluster, table: Table) -> None:
    case = "guide's monitor and rules"
    with applied(cluster, gpu_rules()), scraped_as_the_guide_says(cluster, **OTHER_RULES):
        work = start(cluster, 1.8)
        table.becomes(
            f"{case}: who is busy, it says",
            re.compile(r"dcgm-exporter-\w+ dcgm-exporter-\w+"),
            lambda: holders(cluster, NAMESPACE),
            WITHIN_S,
        )
        table.becomes(f"{case}: Prometheus", "1", lambda: series('exported_pod=~"gpu-workload-.+"'), WITHIN_S)
        table.becomes(f"{case}: the HPA", NO_VALUE, lambda: scaling_active(work), WITHIN_S)
        table.becomes(f"{case}: the doctor", "labels", lambda: first_broken(cluster), WITHIN_S)
        table.stays(f"{case}: replicas under 1.8 GPUs of load", "1", work.replicas, 20)
        honour_labels_by_hand(cluster)
        scales(work, table, f"{case}, then honorLabels")


def test_guides_monitor_with_the_charts_rules_scales(cluster: Cluster, table: Table) -> None:
    case = "guide's monitor, chart's rules"
    with scraped_as_the_guide_says(cluster):
        work = start(cluster, 1.8)
        scales(work, table, case)
        table.is_(f"{case}: the HPA", FOUND, scaling_active(work))
        table.becomes(f"{case}: the doctor", NONE, lambda: first_broken(cluster), WITHIN_S)
        table.is_(f"{case}: series with the pod's own label", "0", series('pod=~"gpu-workload-.+"'))
        table.is_(f"{case}: exporters that seem busy", "none", holders(cluster, NAMESPACE))


def test_charts_monitor_with_the_guides_rules_scales(cluster: Cluster, table: Table) -> None:
    case = "chart's monitor, guide's rules"
    with applied(cluster, gpu_rules()), cluster.values(**OTHER_RULES):
        work = start(cluster, 1.8)
        scales(work, table, case)
        table.is_(f"{case}: exporters that seem busy", "none", holders(cluster, NAMESPACE))


def test_both_monitors_count_no_gpu_twice_and_helm_says_which_to_delete(cluster: Cluster, table: Table) -> None:
    case = "both monitors"
    work = start(cluster, 0.4)
    table.becomes(f"{case}: gpu_utilization before the second", "40", work.utilization, WITHIN_S)
    used = work.metric("gpu_framebuffer_used_mib")
    its_gpu = f'Hostname="{work.nodes()}",gpu="0"'
    with scraped_twice(cluster):
        table.becomes(f"{case}: series of its GPU", "2", lambda: series(its_gpu), WITHIN_S)
        table.is_(f"{case}: framebuffer in use", used, work.metric("gpu_framebuffer_used_mib"))
        cluster.load.set("default", 1.8)
        scales(work, table, case)
        honour_labels_by_hand(cluster, CHARTS)
        honoured = f'{its_gpu},exported_pod=""'
        table.becomes(f"{case}, same labels: series of its GPU", "2", lambda: series(honoured), WITHIN_S)
        cluster.load.set("default", 0.4)
        table.becomes(f"{case}, same labels: replicas", "1", work.replicas, WITHIN_S)
        table.becomes(f"{case}, same labels: gpu_utilization", "40", work.utilization, WITHIN_S)
        table.is_(f"{case}, same labels: framebuffer in use", used, work.metric("gpu_framebuffer_used_mib"))
        delete_what_helm_names(cluster, table, case)
        cluster.load.set("default", 1.8)
        scales(work, table, f"{case}, after the cure")


def test_prometheus_that_overrides_honor_labels_changes_nothing(cluster: Cluster, table: Table) -> None:
    case = "overrideHonorLabels"
    work = start(cluster, 1.8)
    table.becomes(f"{case}: replicas before", "4", work.replicas, WITHIN_S)
    with labels_overridden(cluster):
        cluster.load.set("default", 2.0)
        table.becomes(f"{case}: gpu_utilization", "50 50 50 50", work.utilization, WITHIN_S)
        table.is_(f"{case}: the HPA", FOUND, scaling_active(work))
        table.becomes(f"{case}: the doctor", NONE, lambda: first_broken(cluster), WITHIN_S)
        table.is_(f"{case}: renamed labels", "0", series('exported_pod!="",pod=~"dcgm-exporter-.+"'))
        table.is_(f"{case}: GPUs of exporters", "0", series(f'namespace="{NAMESPACE}"'))


def scales(work: Workload, table: Table, case: str) -> None:
    """See one busy pod become four."""
    table.becomes(f"{case}: replicas", "4", work.replicas, WITHIN_S)
    table.becomes(f"{case}: gpu_utilization", "45 45 45 45", work.utilization, WITHIN_S)


def delete_what_helm_names(cluster: Cluster, table: Table, case: str) -> None:
    """Apply the cure that NOTES name, and see that they name it no longer."""
    [cure] = re.findall("kubectl (delete servicemonitor .*)", upgrade(cluster))
    table.is_(f"{case}: cure by NOTES", f"delete servicemonitor {GUIDES} -n {NAMESPACE}", cure)
    cluster.kubectl(*cure.split())
    load_when(cluster, CHARTS)
    table.is_(f"{case}: NOTES after the cure", "nothing", " ".join(re.findall(cure, upgrade(cluster))) or "nothing")


def upgrade(cluster: Cluster) -> str:
    """Return what `helm upgrade` prints, the values being those that the release has."""
    return cluster.run_helm("upgrade", {}, "--reuse-values")
