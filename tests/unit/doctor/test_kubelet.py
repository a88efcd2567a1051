from pathlib import Path

import pytest

from exporter.attribution.claims import Claim, Claims, OwnerSource
from exporter.cli.flags import Serve, parse
from exporter.doctor.finding import Mark
from exporter.doctor.kubelet import OTHER_SOCKETS, SocketSeen, allocations, judge_allocations, judge_socket, socket
from exporter.doctor.surroundings import Asked, Surroundings
from exporter.model import Holder
from podresources.errors import PodResourcesError, SocketMissing, TimedOut, Unreachable
from podresources.fake_kubelet import FakeKubelet
from podresources.fake_pods import Container, Pod
from tests.unit.holding import gpu

PATH = "/var/lib/kubelet/pod-resources/kubelet.sock"
MISSING = SocketMissing(f"kubelet's socket {PATH} does not exist: start kubelet")
CLOSED = Unreachable(
    f"no permission for kubelet's socket {PATH}: run as user 0, only root can enter kubelet's directory"
)
IN_POD = {"KUBERNETES_SERVICE_HOST": "10.96.0.1"}


def look(tmp_path: Path, *flags: str, environ: dict[str, str] | None = None) -> Surroundings:
    asked = parse((f"--pod-resources-kubelet-socket={tmp_path / 'kubelet.sock'}", *flags), {}, "host")
    assert isinstance(asked, Serve)
    return Surroundings(Asked(asked.settings, environ=environ or {}, root=tmp_path))


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (SocketSeen(MISSING), ("does not exist", "kubeletPath", "/var/lib/k0s/kubelet", "microk8s")),
        (SocketSeen(MISSING, others=(OTHER_SOCKETS["k0s"],)), ("--pod-resources-kubelet-socket /var/lib/k0s",)),
        (SocketSeen(CLOSED, is_enforcing=True), ("SELinux", "spc_t")),
        (SocketSeen(CLOSED, is_root=False), ("Run as user 0",)),
        (SocketSeen(CLOSED, is_root=False, is_enforcing=True), ("Run as user 0", "SELinux")),
        (SocketSeen(TimedOut("kubelet did not answer: it hangs, see its log")), ("did not answer", "It hangs")),
    ],
)
def test_each_way_in_which_kubelet_does_not_answer_has_its_cure(seen: SocketSeen, words: tuple[str, ...]) -> None:
    found = judge_socket(PATH, seen)
    assert isinstance(seen.answer, PodResourcesError)
    assert found.mark is Mark.BROKEN
    assert [word for word in words if word not in f"{found.seen} {found.cure}"] == [], found


def test_a_kubelet_that_answers_and_a_socket_that_is_missing(tmp_path: Path) -> None:
    assert [one.mark for one in socket(look(tmp_path, "-k", "--mock"))] == [Mark.BROKEN]
    assert [one.mark for one in allocations(look(tmp_path, "-k", "--mock"))] == [Mark.UNSEEN]
    strange = Pod("team-a", "web-0", [Container("main", {"nvidia.com/gpu": ["GPU-of-another-node"]})])
    with FakeKubelet(tmp_path / "kubelet.sock", (strange,)):
        assert [one.mark for one in socket(look(tmp_path, "-k", "--mock"))] == [Mark.HOLDS]
        [found] = allocations(look(tmp_path, "-k", "--mock"))
        assert found.mark is Mark.BROKEN
        assert "GPU-of-another-node" in found.seen
    with FakeKubelet(tmp_path / "kubelet.sock", ()):
        [found] = allocations(look(tmp_path, "-k", "--mock"))
        assert found.seen == "no pod holds one of 8 GPUs or MIG instances, so the label pod is empty everywhere"


def test_a_pod_that_does_not_ask_kubelet_is_broken_and_a_machine_is_not(tmp_path: Path) -> None:
    assert [one.mark for one in socket(look(tmp_path, "--mock", environ=IN_POD))] == [Mark.BROKEN]
    assert [one.mark for one in socket(look(tmp_path, "--mock"))] == [Mark.UNSEEN]
    assert [one.mark for one in socket(look(tmp_path))] == [Mark.UNSEEN]


def test_whose_holder_can_not_be_told_is_named_with_the_flag_that_helps() -> None:
    one, other = gpu(0), gpu(1)
    held = Claim(one, Holder("a", "b", "c"), OwnerSource.DEVICE_PLUGIN, None)
    claims = Claims((held,), uncounted=frozenset({(other, "example.com/gpu")}), lacks_slices=True)
    uncounted, dra, good = judge_allocations(claims, 2, has_dra=False)
    assert "--nvidia-resource-names example.com/gpu" in uncounted.cure
    assert "--kubernetes-enable-dra" in dra.cure
    assert good.seen == "held: 1 of 2 GPUs or MIG instances, pods: 1"
    assert [found.mark for found in judge_allocations(Claims((), lacks_slices=True), 2, has_dra=True)] == [Mark.HOLDS]
