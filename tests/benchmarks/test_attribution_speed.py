"""What attribution costs for 16 GPUs x 7 MIG instances and 500 pods. Goal: 5 ms a collection, nothing a scrape."""

import random
from itertools import count

from pytest_benchmark.fixture import BenchmarkFixture

from exporter.attribution.attributor import AttributionOptions, Attributor, known_allocations
from exporter.attribution.owners import OWNER_INFO, Evidence, PodMeta
from exporter.counters import Counter, MetricType
from exporter.exposition import render
from exporter.labels import LabelCache, LabelOptions
from exporter.model import Attribution, Cost, DeviceSnapshot, Sample
from podresources.allocations import Allocations, parse_allocations
from podresources.fake_pods import Container, Pod, list_answer
from podresources.poller import Polled
from podresources.v1.podresources_pb2 import ListPodResourcesResponse
from tests.unit.fake_clock import FakeClock
from tests.unit.holding import gpu, instance, uuid_of

GPUS, INSTANCES, PODS, FIELDS = 16, 7, 500, 30
ENTITIES = tuple(instance(gpu(index), number) for index in range(GPUS) for number in range(INSTANCES))
COUNTERS = tuple(Counter(f"DCGM_FI_DEV_{i}", f"F{i}", i, MetricType.GAUGE, "A help text.") for i in range(FIELDS))


def name_of(pod: int) -> str:
    return f"model-server-{pod}-6d8f9c7b5-kq2xw"


def answer(first: int = 0) -> bytes:
    """Return kubelet's answer about 500 pods, of which the first has a number."""
    pods = [
        Pod("inference", name_of(n), [Container("main", {"nvidia.com/mig-1g.10gb": [share_of(n)]})])
        for n in range(first, first + PODS)
    ]
    return list_answer(pods, random.Random(0)).SerializeToString()  # noqa: S311


def share_of(pod: int) -> str:
    return f"{uuid_of(ENTITIES[pod % len(ENTITIES)])}::{pod // len(ENTITIES)}"


def read(data: bytes) -> Allocations:
    return parse_allocations(ListPodResourcesResponse.FromString(data))


PAIR = read(answer()), read(answer(first=1))
METADATA = {("inference", name_of(n)): PodMeta(f"uid-{n}", (("app", "model"), ("team", "x"))) for n in range(PODS + 1)}


class Node:
    """An attributor and what it looks at."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.polled = Polled()
        self.attributor = Attributor(self._evidence, AttributionOptions(with_uid=True), self.clock)

    def _evidence(self) -> Evidence:
        allocations = known_allocations(self.polled, self.clock.now)
        return Evidence(ENTITIES, ENTITIES, allocations, METADATA)

    def hear(self, allocations: Allocations) -> None:
        self.polled = Polled(allocations, self.clock.now, self.clock.wall)
        self.attributor.look()


def test_reading_kubelets_answer(benchmark: BenchmarkFixture) -> None:
    assert len(benchmark(read, answer())) == PODS


def test_hearing_of_other_owners(benchmark: BenchmarkFixture) -> None:
    node, turn = Node(), count()
    benchmark(lambda: node.hear(PAIR[next(turn) % 2]))
    assert sum(map(len, node.attributor.attribution().owners.values())) == PODS


def test_hearing_of_the_same_owners(benchmark: BenchmarkFixture) -> None:
    node, turn, same = Node(), count(), (PAIR[0], read(answer()))
    benchmark(lambda: node.hear(same[next(turn) % 2]))
    assert sum(map(len, node.attributor.attribution().owners.values())) == PODS


def test_looking_while_kubelet_says_nothing_new(benchmark: BenchmarkFixture) -> None:
    node = Node()
    node.hear(PAIR[0])
    benchmark(node.attributor.look)


SNAPSHOTS = [
    DeviceSnapshot(
        gpu=entity.gpu,
        taken=0.0,
        taken_at=0.0,
        expires=100.0,
        samples=tuple(Sample(entity, counter.field, 97.375, 100.0) for counter in COUNTERS),
        missing=(),
        cost=Cost(0.0, 0.0, 0),
    )
    for entity in ENTITIES
]


def series(attribution: Attribution, cache: LabelCache) -> int:
    rendering = render(SNAPSHOTS, attribution, (*COUNTERS, OWNER_INFO), cache, 1.0)
    return sum(len(lines) for _, lines in rendering.families)


def test_rendering_with_owners(benchmark: BenchmarkFixture) -> None:
    node, cache = Node(), LabelCache(LabelOptions(hostname="node-1", kubernetes=True))
    node.hear(PAIR[0])
    printed = benchmark(series, node.attributor.attribution(), cache)
    assert printed == PODS * (FIELDS + 1)
    print(f"\n{printed} series: {benchmark.stats.stats.median * 1e6 / printed:.2f} us a series")  # type: ignore[union-attr]


def test_rendering_without_owners(benchmark: BenchmarkFixture) -> None:
    printed = benchmark(series, Attribution({}), LabelCache(LabelOptions(hostname="node-1")))
    assert printed == len(ENTITIES) * FIELDS
    print(f"\n{printed} series: {benchmark.stats.stats.median * 1e6 / printed:.2f} us a series")  # type: ignore[union-attr]
