"""How long a page takes: rendering, and all of it with own metrics and compression. Goal: 8 x 30 series in 0.5 ms."""

from pytest_benchmark.fixture import BenchmarkFixture

from exporter.counters import Counter, MetricType
from exporter.exposition import Format, render
from exporter.labels import LabelCache, LabelOptions
from exporter.model import Attribution, Cost, DeviceSnapshot, Entity, Gpu, Holder, Owner, Sample

FIELDS = 30
GPUS = 8
COUNTERS = tuple(Counter(f"DCGM_FI_DEV_{i}", f"F{i}", i, MetricType.GAUGE, "A help text.") for i in range(FIELDS))


def snapshot(index: int, value: float) -> DeviceSnapshot:
    gpu = Gpu(index, f"GPU-{index:08}-1111-2222-3333-444444444444", f"00000000:{index:02}:00.0", index, "NVIDIA H100")
    samples = tuple(
        Sample(Entity(gpu), counter.field, value + i if i % 3 else int(value) + i, 100.0)
        for i, counter in enumerate(COUNTERS)
    )
    return DeviceSnapshot(gpu, 0.0, 0.0, 100.0, samples, (), Cost(0.0, 0.0, 0))


SNAPSHOTS = [snapshot(index, 97.375 * index) for index in range(GPUS)]
OWNERS = {Entity(s.gpu): (Owner(Holder("inference", f"vllm-{s.gpu.index}", "server")),) for s in SNAPSHOTS}


def page(cache: LabelCache) -> str:
    return render(SNAPSHOTS, Attribution(OWNERS), COUNTERS, cache, 1.0).text(Format.OPENMETRICS)


def test_rendering_240_series_with_known_labels(benchmark: BenchmarkFixture) -> None:
    cache = LabelCache(LabelOptions(hostname="node-1", kubernetes=True))
    text = benchmark(page, cache)
    assert text.count("\nDCGM_") == GPUS * FIELDS


def test_rendering_240_series_with_new_labels(benchmark: BenchmarkFixture) -> None:
    text = benchmark(lambda: page(LabelCache(LabelOptions(hostname="node-1", kubernetes=True))))
    assert text.count("\nDCGM_") == GPUS * FIELDS
