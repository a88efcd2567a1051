"""The doctor names the link that is broken: the whole chain first, then with each of its links broken in turn.

More breakages, which take longer, are asserted where test_symptoms.py and test_guide_files.py bring them about.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from tests.e2e import breakages
from tests.e2e.cases import Table
from tests.e2e.cluster import Cluster
from tests.e2e.doctor_run import NONE, examine, first_broken, says
from tests.e2e.workloads import Workload, autoscaler, deployment

WITHIN_S = 120.0
NOT_ON_A_LAPTOP = {"driver", "permissions", "devices", "counters", "profiling", "socket", "allocations"}

BREAKAGES: dict[str, tuple[str, Callable[[Cluster], AbstractContextManager[None]]]] = {
    "an exporter hangs": ("exporter", breakages.exporter_hangs),
    "a GPU is lost": ("gpus", breakages.gpu_lost),
    "kubelet is silent": ("owners", breakages.kubelet_silent),
    "Prometheus has no pod": ("prometheus", breakages.prometheus_unreachable),
    "no ServiceMonitor selects the exporter": ("target", breakages.service_unselected),
    "nobody serves custom metrics": ("adapter", breakages.adapter_unregistered),
    "the HPA asks for what has no rule": ("rule", breakages.metric_misspelt),
    "a pod holds no GPU": ("values", breakages.pod_without_gpu),
    "a pod is pending": ("values", breakages.pod_pending),
    "the HPA's target is not there": ("hpa", breakages.target_missing),
    "a ScaledObject is paused": ("keda", breakages.scaled_object_paused),
    "a ScaledObject has no Deployment": ("keda", breakages.scaled_object_without_target),
    "no exporter runs": ("daemonset", breakages.exporters_fit_no_node),
}
"""What is broken: the link that the doctor must name, and how it comes about."""


@pytest.fixture(scope="module")
def whole(installed: Cluster, table: Table) -> Iterator[Cluster]:
    """Two pods, each 83 of 50 % busy, and their autoscaler, which allows no third."""
    work, hpa, two = (
        Workload(installed, "infer", "team-a"),
        autoscaler("infer", "team-a"),
        deployment("infer", "team-a"),
    )
    installed.load.set("team-a", 1.66)
    installed.kubectl(
        "apply",
        manifests=[{**two, "spec": {**two["spec"], "replicas": 2}}, {**hpa, "spec": {**hpa["spec"], "maxReplicas": 2}}],
    )
    table.becomes("doctor: gpu_utilization before", "83 83", work.utilization, WITHIN_S)
    table.becomes("doctor, all whole", NONE, lambda: first_broken(installed), WITHIN_S)
    yield installed
    installed.clear()


def test_whole_chain_holds_and_the_doctor_says_what_the_hpa_decides(whole: Cluster, table: Table) -> None:
    unseen = {one["link"] for one in examine(whole)["findings"] if one["mark"] == "unseen"}
    table.is_("doctor, all whole: unseen on a laptop", " ".join(sorted(NOT_ON_A_LAPTOP)), " ".join(sorted(unseen)))
    decision = re.compile(
        r"holds team-a/infer-hpa stays at 2, because the mean is 8[23]\S* of 50, and maxReplicas is 2"
    )
    table.is_("doctor, all whole: the HPA", decision, says(whole, "hpa"))
    table.is_("doctor, all whole: values", re.compile(r".* 8[23]\S*, .* 8[23]\S*"), says(whole, "values"))


def test_without_rights_nothing_is_called_broken(whole: Cluster, table: Table) -> None:
    found = examine(whole, user="kubelet")
    table.is_("doctor without rights: broken", NONE, found["first_broken"] or NONE)
    [rights] = [one["seen"] for one in found["findings"] if one["link"] == "rights"]
    table.is_("doctor without rights: rights", re.compile("this user may not .*list daemonsets.apps.*"), rights)


@pytest.mark.parametrize("case", BREAKAGES)
def test_doctor_names_the_broken_link(whole: Cluster, table: Table, case: str) -> None:
    link, breakage = BREAKAGES[case]
    with breakage(whole):
        table.becomes(f"doctor: {case}", link, lambda: first_broken(whole), WITHIN_S)


def test_all_is_whole_again_when_all_is_mended(whole: Cluster, table: Table) -> None:
    table.becomes("doctor, all mended", NONE, lambda: first_broken(whole), WITHIN_S)
