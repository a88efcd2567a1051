"""Attribution as the program wires it: flags, a kubelet on a real socket, an API server, the HPC folder."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from exporter.agent.ownership import STOP_S, Devices, Ownership
from exporter.agent.whereabouts import Whereabouts
from exporter.attribution.claims import DRA_DRIVER
from exporter.cli.flags import Serve, parse
from exporter.kube import OwnNode
from exporter.model import Attribution, Condition, Entity, GpuState, Owner
from podresources.fake_kubelet import FakeKubelet, Hang
from podresources.fake_pods import ClaimedDevice, Container, Pod, ResourceClaim
from tests.unit.fake_api_server import FakeApiServer
from tests.unit.holding import GPU_RESOURCE, gpu, instance, uuid_of
from tests.waiting import until

ROOT = Path(__file__).parents[3]
GPU, DIVIDED = gpu(0), gpu(1)
MIG = instance(DIVIDED, 1)
STATES = tuple(GpuState(e.gpu.index, e.gpu, Condition.SAMPLED, None, (e,)) for e in (GPU, MIG))
DEVICES = Devices(states=lambda: STATES, holdable=lambda: (GPU, MIG))


def pod(name: str, *devices: str, resource: str = GPU_RESOURCE, namespace: str = "team-a") -> Pod:
    return Pod(namespace, name, [Container("main", {resource: devices})])


WEB, BATCH = pod("web-0", uuid_of(GPU)), pod("batch-0", uuid_of(MIG), resource="nvidia.com/mig-1g.10gb")
SHARES = pod("web-0", f"{uuid_of(GPU)}::0"), pod("web-1", f"{uuid_of(GPU)}::1", namespace="team-b")

NODE = Whereabouts(OwnNode("node-1"))
OWN_POD = ("monitoring", "exporter-x7k2p")

Own = Callable[..., Ownership]


@pytest.fixture
def kubelet(tmp_path: Path) -> Iterator[FakeKubelet]:
    with FakeKubelet(tmp_path / "kubelet.sock", (WEB, BATCH)) as kubelet:
        yield kubelet


@pytest.fixture
def own(tmp_path: Path, api: FakeApiServer) -> Iterator[Own]:
    """Start what flags ask for, on node-1."""
    started: list[Ownership] = []

    def begin(*flags: str, where: Whereabouts = NODE) -> Ownership:
        command = parse(flags, {}, "host")
        assert isinstance(command, Serve)
        ownership = Ownership(command.settings, DEVICES, tmp_path / "kubelet.sock", where, api.connect)
        ownership.start()
        started.append(ownership)
        return ownership

    yield begin
    for ownership in started:
        ownership.stop()


def owners(ownership: Ownership, entity: Entity) -> tuple[Owner, ...]:
    return ownership.attribution().owners.get(entity, ())


def pods(ownership: Ownership, entity: Entity) -> list[str]:
    return [owner.holder.pod for owner in owners(ownership, entity)]


def watches(ownership: Ownership) -> Mapping[str, bool]:
    news = ownership.news()
    assert news is not None
    return news.watches


def test_kubelets_pods_are_the_owners(own: Own, kubelet: FakeKubelet) -> None:
    ownership = own("-k")
    until(lambda: pods(ownership, GPU) == ["web-0"])
    assert pods(ownership, MIG) == ["batch-0"]
    assert [dict(sample.labels)["source"] for sample in ownership.attribution().info] == ["device_plugin"] * 2
    kubelet.set_pods([pod("web-1", uuid_of(GPU))])
    kubelet.restart()
    until(lambda: (pods(ownership, GPU), pods(ownership, MIG)) == (["web-1"], []))


def test_pods_that_hold_a_device_are_known_by_its_uuid(own: Own, kubelet: FakeKubelet) -> None:
    kubelet.set_pods((*SHARES, BATCH))
    ownership = own("-k")
    until(lambda: any(ownership.holders().values()))
    assert ownership.holders() == {
        uuid_of(GPU): {("team-a", "web-0"), ("team-b", "web-1")},
        uuid_of(MIG): {("team-a", "batch-0")},
    }


def reasons(ownership: Ownership) -> set[str]:
    return {dict(sample.labels)["reason"] for sample in ownership.attribution().info}


def test_kubelet_that_does_not_list_this_pod_has_just_started(own: Own, kubelet: FakeKubelet) -> None:
    ownership = own("-k", where=replace(NODE, pod=OWN_POD))
    until(lambda: reasons(ownership) == {"kubelet_starting"})
    assert (pods(ownership, GPU), pods(ownership, MIG)) == ([], [])
    told = ownership.news()
    assert told is not None
    assert not told.known
    assert told.failures["incomplete_list"] > 0
    assert ownership.settled(), "a rollout goes on"
    kubelet.set_pods([WEB, Pod(*OWN_POD)])
    until(lambda: (pods(ownership, GPU), pods(ownership, MIG)) == (["web-0"], []))
    assert reasons(ownership) == {"", "no_pod"}


def test_news_tell_how_kubelet_fares(own: Own, kubelet: FakeKubelet) -> None:
    before = time.time()
    ownership = own("-k")
    news = ownership.news()
    assert news is not None
    until(lambda: (told := ownership.news()) is not None and told.known)
    news = ownership.news()
    assert news is not None
    assert news.answered_at is not None
    assert before <= news.answered_at <= time.time()
    assert (news.failures, news.unmatched_total) == ({}, 0)
    kubelet.stop()
    until(lambda: (told := ownership.news()) is not None and told.failures.get("unreachable", 0) > 0)
    assert ownership.news() is not None
    assert pods(ownership, GPU) == ["web-0"]


@pytest.mark.usefixtures("kubelet")
def test_without_kubernetes_nobody_is_asked_and_nothing_is_said(own: Own) -> None:
    ownership = own()
    assert ownership.news() is None
    assert ownership.attribution() == Attribution({})
    assert "attribution" not in {thread.name for thread in threading.enumerate()}


def test_jobs_are_known_without_kubernetes(own: Own, tmp_path: Path) -> None:
    (tmp_path / "1.1").write_text("job-11\n")
    ownership = own("--hpc-job-mapping-dir", str(tmp_path))
    until(lambda: [owner.extra for owner in owners(ownership, MIG)] == [(("hpc_job", "job-11"),)])
    assert ownership.attribution().info == ()


def test_flags_say_which_resources_count_and_whether_shares_are_named(own: Own, kubelet: FakeKubelet) -> None:
    kubelet.set_pods([pod("web-0", f"{uuid_of(GPU)}::3", resource="example.com/gpu"), BATCH])
    ownership = own("-k", "--nvidia-resource-names", "example.com/gpu", "--kubernetes-virtual-gpus")
    until(lambda: [owner.extra for owner in owners(ownership, GPU)] == [(("vgpu", "3"),)])


def test_pod_on_what_is_not_exported_makes_no_other_gpu_suspicious(kubelet: FakeKubelet, tmp_path: Path) -> None:
    kubelet.set_pods([BATCH])
    command = parse(("-k", "-d", "g:0"), {}, "host")
    assert isinstance(command, Serve)
    devices = Devices(states=lambda: STATES[:1], holdable=lambda: (GPU, MIG))
    ownership = Ownership(command.settings, devices, tmp_path / "kubelet.sock", NODE)
    ownership.start()
    try:
        until(lambda: (told := ownership.news()) is not None and told.known)
        until(lambda: [dict(sample.labels)["reason"] for sample in ownership.attribution().info] == ["no_pod"])
    finally:
        ownership.stop()


def test_labels_and_uids_come_from_the_api_server(own: Own, kubelet: FakeKubelet, api: FakeApiServer) -> None:
    api.put("web-0", "team-a", {"app": "web", "secret": "no"})
    api.put("web-1", "team-b", {"app": "web-too", "job": "ours"})
    kubelet.set_pods(SHARES)
    ownership = own(
        *("-k", "--kubernetes-enable-pod-labels", "--kubernetes-enable-pod-uid"),
        *("--kubernetes-pod-label-allowlist-regex", "^app$,^job$"),
    )
    until(lambda: len([owner for owner in owners(ownership, GPU) if owner.labels]) == 2)
    assert [(owner.labels, owner.extra) for owner in owners(ownership, GPU)] == [
        ((("app", "web"),), (("pod_uid", "uid-web-0"),)),
        ((("app", "web-too"),), (("pod_uid", "uid-web-1"),)),
    ]
    [request] = api.asked("list")
    assert request.query["fieldSelector"].startswith("spec.nodeName=node-1")
    assert watches(ownership) == {"pods": True}
    assert (told := ownership.news()) is not None
    assert told.labels_left_out == 1
    api.down()
    until(lambda: watches(ownership) == {"pods": False})
    assert len([owner for owner in owners(ownership, GPU) if owner.labels]) == 2, "what was known last counts"


@pytest.mark.usefixtures("kubelet")
def test_node_is_the_one_of_the_own_pod_where_nobody_says_it(own: Own, api: FakeApiServer) -> None:
    api.put("exporter-x7k2p", "monitoring", spec={"nodeName": "node-1"})
    api.put("web-0", "team-a", {"app": "web"}, spec={"nodeName": "node-1"})
    ownership = own("-k", "--kubernetes-enable-pod-labels", where=Whereabouts(OwnNode(None, OWN_POD, "host")))
    until(lambda: [owner.labels for owner in owners(ownership, GPU)] == [(("app", "web"),)])
    assert api.asked("list")[-1].query["fieldSelector"].startswith("spec.nodeName=node-1,")


@pytest.mark.usefixtures("kubelet")
def test_uids_alone_bring_no_labels(own: Own, api: FakeApiServer) -> None:
    api.put("web-0", "team-a", {"app": "web"})
    ownership = own("-k", "--kubernetes-enable-pod-uid")
    until(lambda: [owner.extra for owner in owners(ownership, GPU)] == [(("pod_uid", "uid-web-0"),)])
    assert [owner.labels for owner in owners(ownership, GPU)] == [()]


GIVEN = {"driver": DRA_DRIVER, "pool": "node-1", "device": "gpu-0", "request": "gpu"}


def put_claim(api: FakeApiServer, namespace: str, name: str, result: Mapping[str, object]) -> None:
    allocation = {"devices": {"results": [result]}}
    api.put(name, namespace, kind="ResourceClaim", status={"allocation": allocation})


@pytest.fixture
def claimant(kubelet: FakeKubelet, api: FakeApiServer) -> None:
    """Let a pod hold the GPU by a claim, and another one look at it."""
    api.groups["resource.k8s.io"] = ["v1"]
    attributes = {"type": {"string": "gpu"}, "uuid": {"string": uuid_of(GPU)}}
    pool = {"name": "node-1", "generation": 1, "resourceSliceCount": 1}
    devices = [{"name": "gpu-0", "attributes": attributes}]
    api.put("slice", "", spec={"driver": DRA_DRIVER, "nodeName": "node-1", "pool": pool, "devices": devices})
    claim = ResourceClaim("team-a", "web-0-gpu", [ClaimedDevice(DRA_DRIVER, "node-1", "gpu-0")])
    put_claim(api, "team-a", "web-0-gpu", GIVEN)
    watcher = ResourceClaim("mon", "watcher-gpu", [ClaimedDevice(DRA_DRIVER, "node-1", "gpu-0")])
    put_claim(api, "mon", "watcher-gpu", {**GIVEN, "adminAccess": True})
    kubelet.set_pods(
        [
            Pod("team-a", "web-0", [Container("main", claims=[claim])]),
            Pod("mon", "watcher", [Container("main", claims=[watcher])]),
        ]
    )


@pytest.mark.usefixtures("claimant")
def test_dra_claims_are_resolved_if_that_is_asked_for(own: Own) -> None:
    ownership = own("-k", "--kubernetes-enable-dra")
    until(lambda: pods(ownership, GPU) == ["web-0"])
    assert dict(owners(ownership, GPU)[0].extra)["dra_claim_name"] == "web-0-gpu"
    assert watches(ownership) == {"resourceclaims": True, "resourceslices": True}


@pytest.mark.usefixtures("claimant")
@pytest.mark.parametrize("flags", [("-k",), ("-k", "--kubernetes-enable-dra")])
def test_without_slices_a_claim_gives_no_label_and_the_info_series_says_so(
    own: Own, api: FakeApiServer, flags: tuple[str, ...]
) -> None:
    api.refusals["list"] = 403
    ownership = own(*flags)
    until(lambda: (told := ownership.news()) is not None and told.known)
    until(lambda: {"no_resource_slices"} == {dict(sample.labels)["reason"] for sample in ownership.attribution().info})
    assert pods(ownership, GPU) == []


def test_it_stops_in_time_though_kubelet_and_the_api_server_hang(
    own: Own, kubelet: FakeKubelet, api: FakeApiServer, tmp_path: Path
) -> None:
    kubelet.set_fault(Hang())
    api.held = "list"
    ownership = own(
        *("-k", "--kubernetes-enable-pod-labels", "--kubernetes-enable-dra", "--hpc-job-mapping-dir", str(tmp_path))
    )
    until(lambda: bool(api.asked("list")))
    began = time.monotonic()
    ownership.stop()
    assert time.monotonic() - began < STOP_S + 1.0, "the program has to end within 2 s"


def test_what_is_never_started_can_be_stopped(tmp_path: Path) -> None:
    command = parse(("-k", "--kubernetes-enable-pod-labels"), {}, "host")
    assert isinstance(command, Serve)
    Ownership(command.settings, DEVICES, tmp_path / "kubelet.sock", NODE).stop()


def test_nobody_pays_for_what_is_not_asked_for() -> None:
    """gRPC, protobuf and the Kubernetes client are tens of MiB, RE2 is three."""
    code = (
        "import sys; from pathlib import Path; from exporter.cli.flags import parse;"
        "from exporter.agent.ownership import Devices, Ownership;"
        "from exporter.agent.whereabouts import find_whereabouts;"
        "where = find_whereabouts({{}}, 'host');"
        "Ownership(parse({flags}, {{}}, 'host').settings, Devices(tuple, tuple), Path('kubelet.sock'), where);"
        "print(*sorted({{'grpc', 'google', 'kubernetes', 're2'}} & {{name.partition('.')[0] for name in sys.modules}}))"
    )
    for flags, imported in ((("--hpc-job-mapping-dir", "jobs"), ""), (("-k",), "google grpc")):
        command = [sys.executable, "-c", code.format(flags=flags)]
        answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=20)
        assert answer.stdout.strip() == imported


@pytest.mark.usefixtures("kubelet")
def test_the_end_needs_no_thread(own: Own, no_threads: Callable[[], None]) -> None:
    ownership = own("-k")
    until(lambda: pods(ownership, GPU) == ["web-0"])
    no_threads()
    ownership.stop()
    assert not {"pod-resources", "attribution"} & {thread.name for thread in threading.enumerate()}


def test_what_is_known_of_owners_is_said_in_a_few_words(own: Own, kubelet: FakeKubelet) -> None:
    assert own().summary() == "not requested, -k is not given"
    ownership = own("-k")
    until(lambda: ownership.summary() == "2 of 2 GPUs or MIG instances held, pods: 2", what="owners are known")
    kubelet.set_pods(())
    until(lambda: ownership.summary() == "0 of 2 GPUs or MIG instances held, pods: 0", what="nobody holds one")


def test_a_kubelet_that_is_not_there_is_said(own: Own) -> None:
    ownership = own("-k")
    until(lambda: ownership.summary().startswith("unknown, kubelet's socket "), what="kubelet is not there")
