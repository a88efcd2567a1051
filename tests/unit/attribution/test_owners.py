"""Who owns what, and what of it stands on a page."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.attribution.claims import DraDevice, DraDevices, OwnerSource
from exporter.attribution.owners import OWNER_INFO, Evidence, PodKey, PodMeta, Why, attribute
from exporter.exposition import Format, render
from exporter.labels import LabelCache, LabelOptions
from exporter.model import Attribution, Entity, Holder
from podresources.allocations import Allocation, Allocations
from tests.golden.series import Series, read_series
from tests.golden.soundness import assert_linted, assert_sound
from tests.unit.entities import NOW, counter, sample, snapshot
from tests.unit.holding import claimed, claims_of, gpu, held, instance, uuid_of

CASES = Path(__file__).parents[2] / "cases"
UTIL = counter("DCGM_FI_DEV_GPU_UTIL")
GPU, OTHER, IDLE, DIVIDED = gpu(0), gpu(1), gpu(2), gpu(3)
MIG, MIG_OF_TWO = instance(DIVIDED, 1), instance(DIVIDED, 2, compute=2)
NODE = (GPU, OTHER, IDLE, MIG, MIG_OF_TWO)
SLICES = {
    ("node-1", "gpu-0"): DraDevice(uuid_of(GPU)),
    ("node-1", "mig-2"): DraDevice(uuid_of(MIG_OF_TWO), "1g.10gb"),
}


@dataclass(frozen=True, slots=True)
class Node:
    """A node with five entities, and what is known of their holders."""

    allocations: Allocations | Why = ()
    evidence: Evidence = field(default_factory=Evidence)
    dra: DraDevices = field(default_factory=dict)
    name_shares: bool = False
    with_uid: bool = False

    def attribution(self) -> Attribution:
        listed = () if isinstance(self.allocations, Why) else self.allocations
        claims = claims_of(listed, *NODE, dra=self.dra, name_shares=self.name_shares)
        evidence = self.evidence._replace(entities=NODE, allocations=self.allocations)
        return attribute(evidence, claims, with_uid=self.with_uid)

    def page(self, form: Format = Format.TEXT, *, old: bool = False) -> str:
        """Return the page on which every entity is 7 percent busy."""
        options = LabelOptions(kubernetes=True, use_old_namespace=old)
        snapshots = [snapshot(sample("DCGM_FI_DEV_GPU_UTIL", 7, entity), entity=entity) for entity in NODE]
        rendering = render(snapshots, self.attribution(), (UTIL, OWNER_INFO), LabelCache(options), NOW)
        return rendering.text(form) + ("# EOF\n" if form is Format.OPENMETRICS else "")

    def series(self, entity: Entity, name: str = UTIL.name, *, old: bool = False) -> list[dict[str, str]]:
        """Return the labels that an entity's series have beside those that say which entity it is."""
        return [own_labels(s) for s in read_series(self.page(old=old)) if s.name == name and is_of(s, entity)]

    def reasons(self, entity: Entity) -> list[tuple[str, str, str]]:
        """Return pod, source and reason of an entity's info series."""
        return [(s["pod"], s["source"], s["reason"]) for s in self.series(entity, OWNER_INFO.name)]


def is_of(series: Series, entity: Entity) -> bool:
    number = "" if entity.instance is None else str(entity.instance.gpu_instance_id)
    return series.labels["UUID"] == entity.gpu.uuid and series.labels.get("GPU_I_ID", "") == number


def own_labels(series: Series) -> dict[str, str]:
    entity_s = ("gpu", "UUID", "pci_bus_id", "device", "modelName", "GPU_I_PROFILE", "GPU_I_ID")
    return {name: value for name, value in series.labels.items() if name not in entity_s}


def labels(pod: str, **more: str) -> dict[str, str]:
    """Return the labels of a container's series, in their order on the page; `pod` is namespace/pod/container."""
    namespace, name, container = pod.split("/")
    return dict(sorted({"container": container, "namespace": namespace, "pod": name, **more}.items()))


NOBODYS = {"container": "", "namespace": "", "pod": ""}
WEB, WEB_TOO, JOB = "team-a/web-0/main", "team-a/web-1/main", "team-b/web-0/main"


def known(*pods: str) -> Evidence:
    """Return evidence in which the API server knows pods, written namespace/pod."""
    return Evidence(pods={key(pod): PodMeta(f"uid-of-{pod}", (("app", f"app-of-{pod}"),)) for pod in pods})


def key(pod: str) -> PodKey:
    namespace, name = pod.split("/")
    return namespace, name


def ended(*pods: str) -> Evidence:
    return Evidence(ended=frozenset(map(key, pods)))


# Who has a series.


def test_gpu_has_its_pod_s_labels_and_an_idle_one_has_them_empty() -> None:
    node = Node((held(GPU, WEB),))
    assert node.series(GPU) == [labels(WEB)]
    assert node.series(IDLE) == [NOBODYS]


def test_every_pod_that_shares_a_gpu_has_a_series_in_a_fixed_order() -> None:
    shares = [held(f"{uuid_of(GPU)}::{n}", pod) for n, pod in enumerate((JOB, WEB_TOO, WEB))]
    assert Node(tuple(shares)).series(GPU) == [labels(WEB), labels(WEB_TOO), labels(JOB)]
    assert {source for _, source, _ in Node(tuple(shares)).reasons(GPU)} == {"device_plugin"}
    assert Node(tuple(shares[::-1])).page() == Node(tuple(shares)).page()


def test_pod_with_several_shares_of_a_gpu_has_one_series_unless_shares_are_named() -> None:
    shares = (held("nvidia0/vgpu0", WEB), held("nvidia0/vgpu1", WEB))
    assert Node(shares).series(GPU) == [labels(WEB)]
    assert Node(shares, name_shares=True).series(GPU) == [labels(WEB, vgpu="0"), labels(WEB, vgpu="1")]


def test_containers_of_a_pod_on_one_gpu_have_a_series_each() -> None:
    both = (held(GPU, "team-a/web-0/main"), held(GPU, "team-a/web-0/side"))
    node = Node(both)
    assert node.series(GPU) == [labels("team-a/web-0/main"), labels("team-a/web-0/side")]
    assert {reason for *_, reason in node.reasons(GPU)} == {""}, "one pod alone lists the id"


def test_an_init_container_s_gpu_is_the_main_container_s_too() -> None:
    node = Node((held(GPU, "team-a/web-0/load-model"), held(GPU, "team-a/web-0/main")))
    assert [found["container"] for found in node.series(GPU)] == ["load-model", "main"]
    assert [reason for *_, reason in node.reasons(GPU)] == ["", ""]


def test_container_on_several_gpus_has_a_series_on_each() -> None:
    node = Node((held(GPU, WEB), held(OTHER, WEB)))
    assert (node.series(GPU), node.series(OTHER)) == ([labels(WEB)], [labels(WEB)])


def test_pods_of_one_name_in_two_namespaces_are_two() -> None:
    node = Node((held(GPU, WEB), held(OTHER, JOB)), known("team-a/web-0", "team-b/web-0"))
    assert node.series(GPU) == [{"app": "app-of-team-a/web-0", **labels(WEB)}]
    assert node.series(OTHER) == [{"app": "app-of-team-b/web-0", **labels(JOB)}]


def test_instances_carry_their_own_pods() -> None:
    node = Node((held(MIG, WEB, "nvidia.com/mig-1g.10gb"), held(MIG_OF_TWO, JOB, "nvidia.com/mig-1g.10gb")))
    assert (node.series(MIG), node.series(MIG_OF_TWO)) == ([labels(WEB)], [labels(JOB)])


def test_instance_beside_one_that_is_held_is_nobodys() -> None:
    assert Node((held(MIG, WEB, "nvidia.com/mig-1g.10gb"),)).reasons(MIG_OF_TWO) == [("", "none", "no_pod")]


def test_instance_whose_compute_instances_two_pods_hold_has_both() -> None:
    first, second = (uuid_of(MIG_OF_TWO, n) for n in range(2))
    node = Node((held(first, JOB), held(second, WEB)))
    assert node.series(MIG_OF_TWO) == [labels(WEB), labels(JOB)]
    assert {reason for *_, reason in node.reasons(MIG_OF_TWO)} == {""}
    assert len(Node((held(first, WEB), held(second, WEB))).series(MIG_OF_TWO)) == 1


def test_what_is_held_and_not_exported_has_no_owner_and_no_series() -> None:
    claims = claims_of((held(GPU, WEB), held(MIG, JOB)), GPU, MIG)
    assert attribute(Evidence(entities=(MIG,), allocations=()), claims).owners.keys() == {MIG}


# What its labels are.


def test_old_names_of_the_pod_labels() -> None:
    old = {"container_name": "main", "pod_name": "web-0", "pod_namespace": "team-a"}
    node = Node((held(GPU, WEB),))
    [found] = [s for s in read_series(node.page(old=True)) if s.name == UTIL.name and s.labels["gpu"] == "0"]
    assert found.labels.items() >= {"uuid": GPU.gpu.uuid, **old}.items()
    assert not found.labels.keys() & NOBODYS.keys()


def test_pod_labels_and_uid_are_on_shared_and_dra_gpus_too() -> None:
    evidence = known("team-a/web-0", "team-b/web-0")
    allocations = (held(f"{uuid_of(OTHER)}::0", WEB), held(f"{uuid_of(OTHER)}::1", JOB), claimed("gpu-0", WEB))
    node = Node(allocations, evidence, SLICES, with_uid=True)
    assert [(s["app"], s["pod_uid"]) for s in (*node.series(OTHER), *node.series(GPU))] == [
        ("app-of-team-a/web-0", "uid-of-team-a/web-0"),
        ("app-of-team-b/web-0", "uid-of-team-b/web-0"),
        ("app-of-team-a/web-0", "uid-of-team-a/web-0"),
    ]


def test_uid_of_a_pod_that_the_api_server_does_not_know_is_empty() -> None:
    assert Node((held(GPU, WEB),), with_uid=True).series(GPU) == [labels(WEB, pod_uid="")]
    assert Node((held(GPU, WEB),), known(), with_uid=True).series(GPU) == [labels(WEB, pod_uid="")]


def test_dra_claims_have_dcgm_exporters_labels_also_on_instances() -> None:
    claim = {
        "dra_claim_name": "web-0-gpu",
        "dra_claim_namespace": "team-a",
        "dra_driver_name": "gpu.nvidia.com",
        "dra_pool_name": "node-1",
    }
    node = Node((claimed("gpu-0", WEB), claimed("mig-2", WEB)), dra=SLICES)
    mig = {"dra_mig_device_uuid": uuid_of(MIG_OF_TWO), "dra_mig_profile": "1g.10gb"}
    assert node.series(GPU) == [labels(WEB, **claim, dra_device_name="gpu-0")]
    assert node.series(MIG_OF_TWO) == [labels(WEB, **claim, **mig, dra_device_name="mig-2")]


def test_pods_that_share_a_claim_have_a_series_each() -> None:
    node = Node((claimed("gpu-0", WEB, "pool-of-two"), claimed("gpu-0", JOB, "pool-of-two")), dra=SLICES)
    assert [found["pod"] for found in node.series(GPU)] == ["web-0", "web-0"]
    assert [reason for *_, reason in node.reasons(GPU)] == ["", ""]


# HPC jobs.


def test_gpu_has_a_series_for_each_of_its_jobs() -> None:
    node = Node(evidence=Evidence(jobs={"0": ("job-7", "job-9"), "3.1": ("job-11",)}))
    assert node.series(GPU) == [{**NOBODYS, "hpc_job": job} for job in ("job-7", "job-9")]
    assert node.series(MIG) == [{**NOBODYS, "hpc_job": "job-11"}]
    assert node.series(OTHER) == [NOBODYS]


def test_job_stands_beside_the_pod_that_runs_it() -> None:
    node = Node((held(GPU, WEB),), Evidence(jobs={"0": ("job-7", "job-9")}))
    assert node.series(GPU) == [labels(WEB, hpc_job=job) for job in ("job-7", "job-9")]


def test_jobs_are_known_though_kubelet_is_silent() -> None:
    node = Node(Why.KUBELET_SILENT, Evidence(jobs={"0": ("job-7",)}))
    assert node.series(GPU) == [{**NOBODYS, "hpc_job": "job-7"}]


# How it is known.


def test_info_says_from_where_an_owner_is_known() -> None:
    node = Node((held(OTHER, JOB), claimed("gpu-0", WEB)), dra=SLICES)
    assert node.reasons(OTHER) == [("web-0", "device_plugin", "")]
    assert node.reasons(GPU) == [("web-0", "dra", "")]
    assert node.reasons(IDLE) == [("", "none", "no_pod")]


def test_info_has_a_series_for_each_series_of_a_field_with_the_same_labels() -> None:
    shares = (held("nvidia0/vgpu0", WEB), held("nvidia0/vgpu1", WEB), held("nvidia1", JOB), claimed("mig-2", WEB))
    evidence = known("team-a/web-0")._replace(jobs={"0": ("job-7", "job-9")})
    series = read_series(Node(shares, evidence, SLICES, name_shares=True, with_uid=True).page())
    fields = [s.labels for s in series if s.name == UTIL.name]
    infos = [s.labels for s in series if s.name == OWNER_INFO.name]
    assert [without(labels, "modelName") for labels in fields] == [without(i, "reason", "source") for i in infos]
    assert len(infos) == 8


def without(found: Mapping[str, str], *names: str) -> dict[str, str]:
    return {name: value for name, value in found.items() if name not in names}


def test_gpu_that_a_plugin_and_a_claim_have_both_given_away_says_so() -> None:
    node = Node((held(GPU, JOB), claimed("gpu-0", WEB)), dra=SLICES)
    assert {source for _, source, _ in node.reasons(GPU)} == {"device_plugin,dra"}


def test_silent_kubelet_leaves_all_owners_unknown() -> None:
    node = Node(Why.KUBELET_SILENT)
    for entity in NODE:
        assert node.series(entity) == [NOBODYS]
        assert node.reasons(entity) == [("", "none", "kubelet_silent")]


def test_an_id_that_is_not_understood_makes_the_owner_unknown_of_the_gpu_that_it_names_alone() -> None:
    node = Node((held(GPU, WEB), held(f"{OTHER.gpu.uuid}-3", JOB), held("odd", JOB), held("MIG-deadbeef", JOB)))
    assert node.reasons(GPU) == [("web-0", "device_plugin", "")]
    assert node.reasons(OTHER) == [("", "none", "unknown_device_id")]
    assert node.reasons(IDLE) == node.reasons(MIG) == [("", "none", "no_pod")]


def test_an_id_that_names_a_divided_gpu_concerns_its_instances() -> None:
    node = Node((held(f"MIG-{DIVIDED.gpu.uuid}/9/0", JOB), held(MIG_OF_TWO, WEB)))
    assert node.reasons(MIG) == [("", "none", "unknown_device_id")]
    assert node.reasons(MIG_OF_TWO) == [("web-0", "device_plugin", "")]
    assert node.reasons(IDLE) == [("", "none", "no_pod")]


def test_a_gpu_that_stands_under_a_resource_that_does_not_count_has_that_reason() -> None:
    node = Node((held(GPU, WEB, resource="nvidia.com/a100"), held(OTHER, JOB)))
    assert (node.series(GPU), node.reasons(GPU)) == ([NOBODYS], [("", "none", "other_resource")])
    assert node.reasons(OTHER) == [("web-0", "device_plugin", "")]
    assert node.reasons(IDLE) == [("", "none", "no_pod")]


def test_ids_of_hami_leave_the_other_gpus_their_owners_and_reasons() -> None:
    case = json.loads((CASES / "hami112.json").read_text(encoding="utf-8"))
    listed = tuple(
        Allocation(pod["namespace"], pod["name"], container["name"], resource, device)
        for pod in case
        for container in pod["containers"]
        for resource, devices in container["devices"].items()
        for device in devices
    )
    gpus = [Entity(replace(gpu(n).gpu, uuid=f"GPU-00000074-0000-0000-0000-00000000000{n}")) for n in range(4)]
    found = attribute(Evidence(tuple(gpus), allocations=listed), claims_of(listed, *gpus))
    assert [dict(info.labels)["reason"] for info in found.info] == ["unknown_device_id", "", "no_pod", "no_pod"]
    assert [owner.holder.pod for owner in found.owners[gpus[1]]] == ["plain"]


def test_gpu_without_a_pod_may_be_the_one_of_a_claim_that_can_not_be_resolved() -> None:
    node = Node((claimed("gpu-0", WEB), held(OTHER, JOB)))
    assert (node.series(GPU), node.reasons(GPU)) == ([NOBODYS], [("", "none", "no_resource_slices")])
    assert node.reasons(OTHER) == [("web-0", "device_plugin", "")]


# An id that two pods list.

EXCLUSIVE, SHARE = uuid_of(GPU), f"{uuid_of(GPU)}::0"
an_id_for_one_pod = pytest.mark.parametrize("device_id", [EXCLUSIVE, SHARE])


@an_id_for_one_pod
def test_the_pod_that_has_ended_is_left_out(device_id: str) -> None:
    node = Node((held(device_id, WEB), held(device_id, WEB_TOO)), ended("team-a/web-0", "team-a/other"))
    assert [found["pod"] for found in node.series(GPU)] == ["web-1"]
    assert node.reasons(GPU) == [("web-1", "device_plugin", "")]


@an_id_for_one_pod
@pytest.mark.parametrize(
    "evidence",
    [Evidence(), known("team-a/web-1"), ended("team-a/web-0", "team-a/web-1"), ended("team-a/other")],
    ids=["not asked", "one is known", "both have ended", "neither has ended"],
)
def test_both_pods_are_shown_and_said_to_be_two_where_that_is_not_known(device_id: str, evidence: Evidence) -> None:
    node = Node((held(device_id, WEB), held(device_id, WEB_TOO)), evidence)
    assert [found["pod"] for found in node.series(GPU)] == ["web-0", "web-1"]
    assert [reason for *_, reason in node.reasons(GPU)] == ["listed_twice", "listed_twice"]


def test_pod_that_has_ended_loses_its_other_shares_of_the_gpu_too() -> None:
    shares = (held(SHARE, WEB), held(SHARE, WEB_TOO), held(f"{EXCLUSIVE}::1", WEB))
    assert [found["pod"] for found in Node(shares, ended("team-a/web-0")).series(GPU)] == ["web-1"]


def test_shares_of_one_gpu_are_different_ids() -> None:
    node = Node((held(SHARE, WEB), held(f"{EXCLUSIVE}::1", WEB_TOO)), ended("team-a/web-0"))
    assert [found["pod"] for found in node.series(GPU)] == ["web-0", "web-1"]
    assert [reason for *_, reason in node.reasons(GPU)] == ["", ""]


def test_documentation_explains_every_reason_and_source() -> None:
    text = (Path(__file__).parents[3] / "docs" / "attribution.md").read_text(encoding="utf-8")

    def rows(column: str) -> list[str]:
        table = text[text.index(f"| `{column}` |") :].split("\n\n")[0]
        return re.findall(r"^\| (?:`(\w+)`|empty) \|", table, re.MULTILINE)[1:]

    assert sorted(rows("reason")) == sorted(Why)
    assert sorted(rows("source")) == sorted(OwnerSource)


# Whatever the names are.

ODD = 'a"b\\c\nd' + "x" * 10_000


def test_hostile_names_and_labels_stay_one_well_formed_line() -> None:
    evidence = Evidence(pods={(ODD, ODD): PodMeta(ODD, (("app", ODD),))}, jobs={"0": (ODD,)})
    held_by_odd = (Allocation(ODD, ODD, ODD, "nvidia.com/gpu", f"{uuid_of(GPU)}::{ODD}"),)
    node = Node(held_by_odd, evidence, name_shares=True, with_uid=True)
    [series] = node.series(GPU)
    written = ODD.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    assert series == dict.fromkeys(("app", "container", "hpc_job", "namespace", "pod", "pod_uid", "vgpu"), written)
    for form in Format:
        assert_sound(node.page(form), form)


@given(st.builds(Allocation, st.text(), st.text(), st.text(), st.just("nvidia.com/gpu"), st.just(uuid_of(GPU))))
def test_any_name_is_a_sound_page(allocation: Allocation) -> None:
    node = Node((allocation,))
    holder = Holder(allocation.namespace, allocation.pod, allocation.container)
    assert [owner.holder for owner in node.attribution().owners[GPU]] == [holder]
    assert_sound(node.page(), Format.TEXT)


def test_promtool_has_no_objection_to_the_info_series() -> None:
    assert_linted(Node((held(GPU, WEB), held(MIG, JOB))).page())
