import logging
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import pytest

from exporter.attribution.attributor import SILENT_AFTER_S, AttributionOptions, Attributor, known_allocations
from exporter.attribution.claims import DraDevice, Resources
from exporter.attribution.owners import Evidence, PodMeta
from exporter.attribution.resource_slices import DeviceSlice, Slices
from exporter.attribution.strange_ids import MOST_NAMED, STRANGE_AFTER_S
from exporter.model import Attribution, Entity, Labels
from podresources.allocations import Allocations
from podresources.errors import IncompleteList
from podresources.poller import Polled
from tests.unit.fake_clock import FakeClock
from tests.unit.holding import claimed, gpu, held, instance, uuid_of
from tests.waiting import until

GPU, OTHER = gpu(0), gpu(1)
MIG, SECOND_MIG = instance(OTHER, 1), instance(OTHER, 2)
STRANGER = "GPU-deadbeef-0000-0000-0000-000000000000"


@dataclass
class Node:
    """What attribution looks at; a test changes it as it goes."""

    entities: tuple[Entity, ...] = (GPU, OTHER)
    holdable: tuple[Entity, ...] = ()
    polled: Polled = field(default_factory=Polled)
    pods: Mapping[tuple[str, str], PodMeta] | None = None
    pods_heard_at: float | None = None
    jobs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    slices: Slices | None = None
    broken: str = ""
    looks: int = 0
    clock: FakeClock = field(default_factory=FakeClock)

    def attributor(self, options: AttributionOptions | None = None) -> Attributor:
        return Attributor(self.evidence, options or AttributionOptions(), self.clock)

    def evidence(self) -> Evidence:
        self.looks += 1
        if self.broken:
            raise RuntimeError(self.broken)
        allocations = known_allocations(self.polled, self.clock.now)
        return Evidence(
            self.entities, self.holdable, allocations, self.pods, self.pods_heard_at, self.jobs, self.slices
        )

    def tell(self, *pods: str, uid: str = "1") -> None:
        """Let the API server know pods of the namespace team-a now; all have the same uid and, as a label, version."""
        self.pods = {("team-a", pod): PodMeta(uid, (("version", uid),)) for pod in pods}
        self.pods_heard_at = self.clock.now

    def answer(self, *allocations: Allocations) -> None:
        """Let kubelet give an answer now; without arguments an empty one."""
        self.polled = Polled(sum(allocations, ()), self.clock.now, self.clock.wall)


def pods_of(attribution: Attribution, entity: Entity) -> list[str]:
    return [owner.holder.pod for owner in attribution.owners.get(entity, ())]


def reasons(attribution: Attribution) -> list[str]:
    return [dict(sample.labels)["reason"] for sample in attribution.info]


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


# What is kept up to date.


def test_owners_follow_kubelet() -> None:
    node = Node()
    attributor = node.attributor()
    assert attributor.attribution() == Attribution({})
    for pod in ("web-0", "web-1"):
        node.answer((held(GPU, f"team-a/{pod}/main"),))
        attributor.look()
        assert pods_of(attributor.attribution(), GPU) == [pod]
        assert pods_of(attributor.attribution(), OTHER) == []
    node.answer()
    attributor.look()
    assert pods_of(attributor.attribution(), GPU) == []


def test_instances_are_attributed_as_soon_as_they_are_there() -> None:
    node = Node()
    node.answer((held(MIG, "team-a/web-0/main"), held(SECOND_MIG, "team-a/web-1/main")))
    attributor = node.attributor()
    attributor.look()
    assert attributor.attribution().owners.keys() == {GPU, OTHER}
    node.entities = (GPU, MIG, SECOND_MIG)
    attributor.look()
    assert attributor.attribution().owners.keys() == {GPU, MIG, SECOND_MIG}
    assert pods_of(attributor.attribution(), SECOND_MIG) == ["web-1"]


def test_labels_jobs_and_slices_are_followed_too() -> None:
    node = Node()
    node.answer((held(GPU), claimed("gpu-1", "team-a/web-1/main")))
    attributor = node.attributor(AttributionOptions(with_uid=True))
    attributor.look()
    node.pods = {("team-a", "web-0"): PodMeta("uid-1", (("app", "web"),))}
    attributor.look()
    [owner] = attributor.attribution().owners[GPU]
    assert (owner.labels, owner.extra) == ((("app", "web"),), (("pod_uid", "uid-1"),))
    node.jobs = {"1": ("job-7",)}
    attributor.look()
    assert [owner.extra for owner in attributor.attribution().owners[OTHER]] == [(("hpc_job", "job-7"),)]
    node.slices = {("", "slice"): DeviceSlice("node-1", 1, (("gpu-1", DraDevice(uuid_of(OTHER))),))}
    attributor.look()
    assert pods_of(attributor.attribution(), OTHER) == ["web-1"]


def test_jobs_of_an_instance_are_in_a_file_with_both_numbers() -> None:
    node = Node(entities=(GPU, MIG, SECOND_MIG), jobs={"1.2": ("job-11",), "1": ("job-of-no-instance",)})
    attributor = node.attributor()
    attributor.look()
    jobs = {entity: [owner.extra for owner in owners] for entity, owners in attributor.attribution().owners.items()}
    assert jobs == {GPU: [], MIG: [], SECOND_MIG: [(("hpc_job", "job-11"),)]}


def test_options_are_heeded() -> None:
    node = Node()
    node.answer((held(f"{uuid_of(GPU)}::3", resource="example.com/gpu"),))
    attributor = node.attributor(AttributionOptions(Resources(frozenset({"example.com/gpu"})), name_shares=True))
    attributor.look()
    assert [owner.extra for owner in attributor.attribution().owners[GPU]] == [(("vgpu", "3"),)]


def test_nothing_is_published_anew_while_nothing_changes() -> None:
    node = Node()
    node.answer((held(GPU),))
    attributor = node.attributor()
    attributor.look()
    before = attributor.attribution()
    node.clock.advance(1.0)
    node.answer((held(GPU),))
    attributor.look()
    assert attributor.attribution() is before


# Pods that kubelet and the API server do not know at the same time.

BOTH = (held(GPU, "team-a/web-0/main"), held(GPU, "team-a/web-1/main"))


def test_pod_that_the_api_server_does_not_know_yet_keeps_its_gpu() -> None:
    node = Node()
    attributor = node.attributor()
    node.tell("web-0")
    attributor.look()
    node.answer(BOTH)
    attributor.look()
    assert pods_of(attributor.attribution(), GPU) == ["web-0", "web-1"]
    assert reasons(attributor.attribution()) == ["listed_twice", "no_pod"]


def test_pod_that_was_there_and_was_deleted_has_ended() -> None:
    node = Node()
    attributor = node.attributor()
    node.answer(BOTH)
    node.tell("web-0", "web-1", "other")
    attributor.look()
    assert pods_of(attributor.attribution(), GPU) == ["web-0", "web-1"]
    node.tell("web-1", "other")
    attributor.look()
    assert pods_of(attributor.attribution(), GPU) == ["web-1"]
    assert reasons(attributor.attribution()) == ["", "no_pod"]


def test_pod_has_ended_though_its_successor_is_not_known_yet() -> None:
    node = Node()
    attributor = node.attributor()
    node.answer((held(GPU, "team-a/web-0/main"),))
    node.tell("web-0")
    attributor.look()
    node.tell()
    attributor.look()
    assert pods_of(attributor.attribution(), GPU) == ["web-0"], "kubelet lists it, and nobody else"
    node.answer(BOTH)
    attributor.look()
    assert pods_of(attributor.attribution(), GPU) == ["web-1"]


def test_two_pods_that_have_both_ended_are_both_shown() -> None:
    node = Node()
    attributor = node.attributor()
    node.answer(BOTH)
    node.tell("web-0", "web-1")
    attributor.look()
    node.tell()
    attributor.look()
    assert pods_of(attributor.attribution(), GPU) == ["web-0", "web-1"]
    assert reasons(attributor.attribution()) == ["listed_twice", "no_pod"]


def test_pod_that_is_made_anew_under_its_name_lives() -> None:
    node = Node()
    attributor = node.attributor()
    node.answer(BOTH)
    for pods in (("web-0", "web-1"), ("web-1",), ("web-0", "web-1")):
        node.tell(*pods)
        attributor.look()
    assert pods_of(attributor.attribution(), GPU) == ["web-0", "web-1"]


def test_pod_that_kubelet_has_dropped_and_lists_again_is_another_one() -> None:
    node = Node()
    attributor = node.attributor()
    node.answer(BOTH)
    node.tell("web-0", "web-1")
    attributor.look()
    node.tell("web-1")
    attributor.look()
    node.answer((held(GPU, "team-a/web-1/main"),))
    attributor.look()
    node.answer(BOTH)
    attributor.look()
    assert pods_of(attributor.attribution(), GPU) == ["web-0", "web-1"], "the API server tells of it in a moment"


def known_of(attributor: Attributor) -> list[tuple[Labels, Labels]]:
    return [(owner.labels, owner.extra) for owner in attributor.attribution().owners[GPU]]


NOTHING_KNOWN = [((), (("pod_uid", ""),))]


def test_what_was_known_of_a_pod_is_forgotten_when_kubelet_drops_it() -> None:
    node = Node()
    attributor = node.attributor(AttributionOptions(with_uid=True))
    node.answer((held(GPU),))
    node.tell("web-0", uid="1")
    attributor.look()
    assert known_of(attributor) == [((("version", "1"),), (("pod_uid", "1"),))]
    node.clock.advance(1.0)
    node.answer()
    attributor.look()
    node.clock.advance(1.0)
    node.answer((held(GPU),))
    attributor.look()
    assert known_of(attributor) == NOTHING_KNOWN, "another pod of the same name, and the API server says nothing"
    node.tell("web-0", uid="2")
    attributor.look()
    assert known_of(attributor) == [((("version", "2"),), (("pod_uid", "2"),))]


def test_what_is_known_of_a_pod_returns_when_the_api_server_says_that_it_is_still_there() -> None:
    node = Node()
    attributor = node.attributor(AttributionOptions(with_uid=True))
    node.tell("web-0")
    for allocations in ((held(GPU),), (), (held(GPU),)):
        node.answer(allocations)
        attributor.look()
        node.clock.advance(1.0)
    assert known_of(attributor) == NOTHING_KNOWN
    node.tell("web-0")
    attributor.look()
    assert known_of(attributor) == [((("version", "1"),), (("pod_uid", "1"),))]


def test_silence_of_kubelet_drops_no_pod() -> None:
    node = Node()
    attributor = node.attributor(AttributionOptions(with_uid=True))
    node.tell("web-0")
    node.answer((held(GPU),))
    attributor.look()
    node.clock.advance(SILENT_AFTER_S)
    attributor.look()
    node.answer((held(GPU),))
    attributor.look()
    assert known_of(attributor) == [((("version", "1"),), (("pod_uid", "1"),))]


# Devices of DRA.


def slice_of(uuid: str, generation: int = 1, name: str = "gpu-0") -> DeviceSlice:
    return DeviceSlice("node-1", generation, ((name, DraDevice(uuid)),))


@pytest.mark.parametrize(
    "later", [{}, {("", "b"): slice_of(uuid_of(OTHER), 2, "gpu-1")}], ids=["no slice", "another generation"]
)
def test_running_pod_keeps_a_device_that_no_slice_has_any_more(later: Slices) -> None:
    node = Node(slices={("", "a"): slice_of(uuid_of(GPU))})
    attributor = node.attributor()
    node.answer((claimed("gpu-0"),))
    attributor.look()
    node.slices = later
    attributor.look()
    assert pods_of(attributor.attribution(), GPU) == ["web-0"]
    node.answer()
    attributor.look()
    node.answer((claimed("gpu-0", "team-a/web-1/main"),))
    attributor.look()
    assert pods_of(attributor.attribution(), GPU) == [], "the next pod's device is another one"


def test_device_that_changes_in_a_slice_changes_for_its_pod() -> None:
    node = Node(slices={("", "a"): slice_of(uuid_of(GPU))})
    attributor = node.attributor()
    node.answer((claimed("gpu-0"),))
    attributor.look()
    node.slices = {("", "a"): slice_of(uuid_of(OTHER), 2)}
    attributor.look()
    assert [pods_of(attributor.attribution(), entity) for entity in (GPU, OTHER)] == [[], ["web-0"]]


# While kubelet is silent.


def test_owners_are_unknown_until_kubelet_has_answered() -> None:
    node = Node()
    attributor = node.attributor()
    attributor.look()
    assert not attributor.knows_owners()
    assert set(reasons(attributor.attribution())) == {"kubelet_silent"}
    node.answer()
    attributor.look()
    assert attributor.knows_owners()
    assert set(reasons(attributor.attribution())) == {"no_pod"}


def test_owners_stay_for_a_minute_of_silence_and_return_with_the_next_answer() -> None:
    node = Node()
    node.answer((held(GPU),))
    attributor = node.attributor()
    node.clock.advance(SILENT_AFTER_S - 0.1)
    attributor.look()
    assert attributor.knows_owners()
    assert pods_of(attributor.attribution(), GPU) == ["web-0"]
    node.clock.advance(0.1)
    attributor.look()
    assert not attributor.knows_owners()
    assert pods_of(attributor.attribution(), GPU) == []
    assert set(reasons(attributor.attribution())) == {"kubelet_silent"}
    node.answer((held(GPU),))
    attributor.look()
    assert attributor.knows_owners()
    assert pods_of(attributor.attribution(), GPU) == ["web-0"]


def test_kubelet_that_has_just_started_is_not_silent() -> None:
    node = Node(polled=Polled(error=IncompleteList("it does not list this pod")))
    attributor = node.attributor()
    attributor.look()
    assert not attributor.knows_owners()
    assert set(reasons(attributor.attribution())) == {"kubelet_starting"}
    node.answer((held(GPU),))
    attributor.look()
    node.polled = replace(node.polled, error=IncompleteList("it does not list this pod"))
    attributor.look()
    assert pods_of(attributor.attribution(), GPU) == ["web-0"], "its last good list counts for a minute"
    node.clock.advance(SILENT_AFTER_S)
    attributor.look()
    assert set(reasons(attributor.attribution())) == {"kubelet_starting"}


# Ids that mean nothing.


def test_strange_id_is_counted_once_and_named_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    node = Node()
    attributor = node.attributor()
    for second in range(int(STRANGE_AFTER_S) + 60):
        node.answer((held(STRANGER), held(GPU, "team-a/web-1/main")))
        attributor.look()
        assert attributor.unmatched_total() == (second >= STRANGE_AFTER_S)
        node.clock.advance(1.0)
    assert pods_of(attributor.attribution(), GPU) == ["web-1"]
    assert warnings(caplog) == [f"kubelet lists ids that match no GPU or MIG instance of this node (1): '{STRANGER}'"]


def test_id_that_was_strange_for_a_moment_does_not_count(caplog: pytest.LogCaptureFixture) -> None:
    node = Node(entities=(GPU,))
    node.answer((held(MIG),))
    attributor = node.attributor()
    attributor.look()
    node.clock.advance(STRANGE_AFTER_S - 0.1)
    node.entities = (GPU, MIG)
    attributor.look()
    node.clock.advance(STRANGE_AFTER_S)
    attributor.look()
    assert (attributor.unmatched_total(), warnings(caplog)) == (0, [])


def test_id_that_strays_again_counts_again() -> None:
    node = Node()
    attributor = node.attributor()
    for _ in range(2):
        node.answer((held(STRANGER),))
        attributor.look()
        node.clock.advance(STRANGE_AFTER_S)
        attributor.look()
        node.answer()
        attributor.look()
    assert attributor.unmatched_total() == 2


def test_many_strange_ids_are_one_line(caplog: pytest.LogCaptureFixture) -> None:
    node = Node()
    node.answer(tuple(held(f"GPU-{n:04}") for n in range(500)))
    attributor = node.attributor()
    for _ in range(2):
        attributor.look()
        node.clock.advance(STRANGE_AFTER_S)
    assert attributor.unmatched_total() == 500
    [line] = warnings(caplog)
    assert "(500)" in line
    assert line.count("GPU-") == MOST_NAMED


def test_hostile_id_stays_one_line(caplog: pytest.LogCaptureFixture) -> None:
    node = Node()
    node.answer((held("GPU-\n2026-01-01 ERROR all is lost"),))
    attributor = node.attributor()
    for _ in range(2):
        attributor.look()
        node.clock.advance(STRANGE_AFTER_S)
    [line] = warnings(caplog)
    assert "\n" not in line


def test_ids_of_any_length_make_no_long_line(caplog: pytest.LogCaptureFixture) -> None:
    node = Node()
    node.answer(tuple(held(f"GPU-{n}" + "x" * 100_000) for n in range(MOST_NAMED)))
    attributor = node.attributor()
    for _ in range(2):
        attributor.look()
        node.clock.advance(STRANGE_AFTER_S)
    [line] = warnings(caplog)
    assert len(line) < 2000


def test_many_resources_of_any_length_make_few_short_lines(caplog: pytest.LogCaptureFixture) -> None:
    node = Node()
    attributor = node.attributor()
    for n in range(2 * MOST_NAMED):
        node.answer((held(GPU, "a/a/a", f"x/{n}" + "x" * 100_000),))
        attributor.look()
    assert len(warnings(caplog)) == MOST_NAMED
    assert max(map(len, warnings(caplog))) < 1000


def test_a_resource_that_lists_gpus_and_does_not_count_is_named_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    node = Node()
    attributor = node.attributor()
    for pod in ("web-0", "web-1"):
        node.answer((held(GPU, f"team-a/{pod}/main", "nvidia.com/a100"), held(OTHER, "b/b/b", "nvidia.com/a100")))
        attributor.look()
        assert pods_of(attributor.attribution(), GPU) == []
    assert set(reasons(attributor.attribution())) == {"other_resource"}
    [line] = warnings(caplog)
    assert "the resource 'nvidia.com/a100'" in line
    assert "--nvidia-resource-names" in line
    assert attributor.unmatched_total() == 0


def test_no_id_is_strange_while_no_gpu_is_known() -> None:
    node = Node(entities=())
    node.answer((held(STRANGER), held(GPU)))
    attributor = node.attributor()
    for _ in range(2):
        attributor.look()
        node.clock.advance(STRANGE_AFTER_S)
    assert attributor.unmatched_total() == 0


@pytest.mark.parametrize(
    ("exported", "held_besides", "why"),
    [((GPU,), OTHER, ["no_pod"]), ((GPU, OTHER), MIG, ["no_pod", "held_in_parts"]), ((MIG,), GPU, ["no_pod"])],
    ids=["-d g:0", "-d g of a GPU that MIG divides", "-d i"],
)
def test_what_the_node_has_and_is_not_exported_is_not_strange(
    exported: tuple[Entity, ...], held_besides: Entity, why: list[str]
) -> None:
    node = Node(entities=exported, holdable=(GPU, held_besides))
    node.answer((held(held_besides, "team-a/web-1/main"),))
    attributor = node.attributor()
    for _ in range(2):
        attributor.look()
        node.clock.advance(STRANGE_AFTER_S)
    assert attributor.unmatched_total() == 0
    assert attributor.attribution().owners == dict.fromkeys(exported, ())
    assert reasons(attributor.attribution()) == why


# Its thread.


@pytest.fixture
def running() -> Iterator[tuple[Node, Attributor]]:
    node = Node()
    attributor = node.attributor()
    attributor.start()
    yield node, attributor
    attributor.stop()


def test_started_it_looks_by_itself_until_it_is_stopped(running: tuple[Node, Attributor]) -> None:
    node, attributor = running
    node.answer((held(GPU),))
    until(lambda: pods_of(attributor.attribution(), GPU) == ["web-0"])
    attributor.stop()
    assert "attribution" not in {thread.name for thread in threading.enumerate()}


def test_what_goes_wrong_costs_the_owners_until_it_works_again(
    running: tuple[Node, Attributor], caplog: pytest.LogCaptureFixture
) -> None:
    node, attributor = running
    node.answer((held(GPU),))
    until(lambda: bool(pods_of(attributor.attribution(), GPU)))
    node.broken = "something nobody has thought of"
    until(lambda: attributor.attribution() == Attribution({}))
    assert not attributor.knows_owners()
    enough = node.looks + 2
    until(lambda: node.looks >= enough)
    node.broken = ""
    until(lambda: pods_of(attributor.attribution(), GPU) == ["web-0"])
    assert attributor.knows_owners()
    assert [record.exc_info is not None for record in caplog.records] == [True], "said once"


def test_stopping_one_that_never_ran_is_no_error() -> None:
    Node().attributor().stop()
