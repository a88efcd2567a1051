"""Entities for tests of what is printed: a GPU, a MIG instance and an NVLink, and the newest about one of them."""

from exporter.counters import Counter, MetricType
from exporter.fields import find
from exporter.model import Cost, DeviceSnapshot, Entity, Gpu, Instance, Labels, Reason, Sample, Value

NOW = 1000.0
LATER = NOW + 3.0

GPU = Entity(Gpu(3, "GPU-abc", "00000000:1B:00.0", 7, "NVIDIA H100 80GB HBM3"))
OTHER_GPU = Entity(Gpu(4, "GPU-def", "00000000:43:00.0", 8, "NVIDIA H100 80GB HBM3"))
INSTANCE = Entity(GPU.gpu, Instance(5, "2g.20gb", ("MIG-1", "MIG-2")))
LINK = Entity(GPU.gpu, link=12)


def counter(name: str, kind: MetricType = MetricType.GAUGE, text: str = "Help.") -> Counter:
    field = find(name)
    assert field is not None
    return Counter(name, field.name, field.id, kind, text)


def sample(name: str, value: Value, entity: Entity = GPU, expires: float = LATER, labels: Labels = ()) -> Sample:
    return Sample(entity, counter(name).field, value, expires, labels)


def snapshot(
    *samples: Sample, entity: Entity = GPU, expires: float = LATER, gone: Reason | None = None
) -> DeviceSnapshot:
    return DeviceSnapshot(
        gpu=entity.gpu,
        taken=NOW,
        taken_at=1_800_000_000.0,
        expires=expires,
        samples=samples,
        missing=(),
        cost=Cost(0.004, 0.003, 20),
        gone=gone,
    )
