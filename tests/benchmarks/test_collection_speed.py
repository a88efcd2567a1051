"""What a collection costs on the mock: all of it, where own time and the mock's are both Python."""

from pytest_benchmark.fixture import BenchmarkFixture

from exporter.catalogue import CATALOGUE
from exporter.mock import load_scenario
from exporter.model import DeviceSnapshot
from exporter.nvml.calls import Calls
from exporter.nvml.entities import Layout, find_layout, select
from exporter.sampling.failures import Failures
from exporter.sampling.pace import Pacing
from exporter.sampling.plan import plan
from exporter.sampling.sampler import Sampler
from exporter.settings import DeviceKind, DeviceSelection
from tests.golden.memory_scrape import counters_of
from tests.unit.fake_clock import FakeClock
from tests.unit.mock_machines import started


def test_collecting_the_default_counters(benchmark: BenchmarkFixture) -> None:
    clock = FakeClock()
    nvml = started(load_scenario("h100-sxm"), clock)
    layout = find_layout(Calls(nvml), 0)
    assert isinstance(layout, Layout)
    device = select({0: layout}, (DeviceSelection(DeviceKind.FLEX),))[0]
    sampler = Sampler(device, Calls(nvml), Pacing(clock, 1.0), Failures())
    sampler.follow(plan({c.field for c in counters_of("default-counters.csv")}, CATALOGUE))
    own_us: list[float] = []

    def collect() -> DeviceSnapshot:
        clock.advance(1.0)
        snapshot = sampler.collect()
        own_us.append((snapshot.cost.total_s - snapshot.cost.nvml_s) * 1e6)
        return snapshot

    snapshot = benchmark(collect)
    own = sorted(own_us)[len(own_us) // 2]
    benchmark.extra_info["own_us"] = own
    print(f"\nown time of a collection: {own:.0f} us, {own / len(snapshot.samples):.1f} us a sample")
