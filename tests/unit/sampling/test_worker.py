import logging
import time
from collections.abc import Iterator

import pynvml
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.catalogue.convert import attr, same
from exporter.catalogue.reading import Call, Field, Tracked, Tracker
from exporter.model import Missing
from exporter.nvml.calls import Calls
from exporter.nvml.entities import Layout, find_layout, select
from exporter.sampling.pace import Pacing
from exporter.sampling.plan import Plan, plan
from exporter.sampling.sampler import Sampler
from exporter.sampling.worker import Timetable, Worker
from exporter.settings import parse_devices
from tests.unit.fake_clock import FakeClock
from tests.unit.faulty_nvml import FaultyNvml, failing
from tests.unit.mock_machines import scenario, started
from tests.waiting import PATIENCE_S, until

TEMPERATURE = Call("nvmlDeviceGetTemperature", (Field("TEMPERATURE", same),), (pynvml.NVML_TEMPERATURE_GPU,))
POWER = Call("nvmlDeviceGetPowerUsage", (Field("POWER", same),))
RING = Tracked(Tracker.RINGS, (pynvml.NVML_GPU_UTILIZATION_SAMPLES,), (Field("RING", attr("observed_s")),))
READINGS = (TEMPERATURE, POWER, RING)
INTERVAL_S = 0.02
TIMETABLE = Timetable(INTERVAL_S, 0.0)


class Bench:
    """A worker of a mock GPU; by default each collection waits 20 ms of real time for the next."""

    def __init__(self, field: str = "TEMPERATURE", timetable: Timetable = TIMETABLE) -> None:
        self.clock = FakeClock()
        self.nvml = FaultyNvml(started(scenario("gpus: [{profile: h100-sxm, load: 40}]"), self.clock))
        self.plan = self.plan_of(field)
        self.is_broken = False
        layout = find_layout(Calls(self.nvml), 0)
        assert isinstance(layout, Layout)
        device = select({0: layout}, parse_devices("f"))[0]
        sampler = Sampler(device, Calls(self.nvml), Pacing(self.clock, timetable.interval_s), self.miss)
        self.worker = Worker(sampler, lambda: self.plan, timetable, self.clock)
        self.worker.start()

    def miss(self, _: Missing) -> None:
        if self.is_broken:
            raise RuntimeError("nobody foresaw this")

    def plan_of(self, *fields: str) -> Plan:
        return plan(fields, READINGS)

    def fields(self) -> set[str]:
        snapshot = self.worker.snapshot
        return set() if snapshot is None else {sample.field for sample in snapshot.samples}


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.worker.stop()
    assert made.worker.ended(PATIENCE_S)


def test_a_worker_publishes_a_new_snapshot_at_every_collection(bench: Bench) -> None:
    until(lambda: bench.worker.snapshot is not None)
    first = bench.worker.snapshot
    until(lambda: bench.worker.snapshot is not first)
    assert bench.fields() == {"TEMPERATURE"}


def test_a_worker_follows_the_plan_in_force(bench: Bench) -> None:
    until(lambda: bench.fields() == {"TEMPERATURE"})
    bench.plan = bench.plan_of("TEMPERATURE", "POWER")
    until(lambda: bench.fields() == {"TEMPERATURE", "POWER"})


def test_an_unexpected_error_costs_one_collection_and_is_told_once(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    until(lambda: bench.fields() != set())

    caplog.set_level(logging.ERROR)
    for _ in range(2):
        failed = bench.nvml.calls["nvmlDeviceGetTemperature"] + 3
        bench.is_broken, bench.nvml.replaced["nvmlDeviceGetTemperature"] = True, failing(pynvml.NVML_ERROR_TIMEOUT)
        until(lambda failed=failed: bench.nvml.calls["nvmlDeviceGetTemperature"] > failed)  # type: ignore[misc]
        before = bench.worker.snapshot
        bench.is_broken = False
        until(lambda before=before: bench.worker.snapshot is not before)  # type: ignore[misc]
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]


def test_rings_are_read_between_collections_that_are_far_apart_and_nothing_is_published() -> None:
    bench = Bench("RING", Timetable(1000.0, 0.0, keep_up_s=0.2))  # longer than the first two collections lie apart
    try:
        until(lambda: bench.nvml.calls["nvmlDeviceGetSamples"] > 2)
        newest, calls = bench.worker.snapshot, bench.nvml.calls["nvmlDeviceGetSamples"]
        until(lambda: bench.nvml.calls["nvmlDeviceGetSamples"] > calls + 3)
        assert bench.worker.snapshot is newest
    finally:
        bench.worker.stop()
        assert bench.worker.ended(PATIENCE_S)


def test_a_worker_is_late_when_its_newest_snapshot_has_expired(bench: Bench) -> None:
    until(lambda: bench.worker.snapshot is not None)
    assert not bench.worker.is_late(bench.clock.now + 2.9)
    assert bench.worker.is_late(bench.clock.now + 3.0)


def test_a_worker_that_stops_gives_back_what_it_holds_and_reads_no_more(bench: Bench) -> None:
    until(lambda: bench.worker.snapshot is not None)
    bench.worker.stop()
    assert bench.worker.is_stopping
    assert bench.worker.ended(PATIENCE_S)
    calls = bench.nvml.calls.total()
    time.sleep(3 * INTERVAL_S)
    assert bench.nvml.calls.total() == calls


@given(
    now=st.floats(0, 1e7),
    interval_s=st.floats(0.1, 3600),
    gpus=st.integers(1, 16),
    late=st.floats(0, 1, exclude_max=True),
)
@example(now=0.05, interval_s=0.1, gpus=6, late=0.0)
def test_the_workers_of_a_machine_are_spread_evenly_over_the_interval(
    now: float, interval_s: float, gpus: int, late: float
) -> None:
    timetables = [Timetable(interval_s, interval_s * place / gpus) for place in range(gpus)]
    waits = sorted(timetable.wait_s(now) for timetable in timetables)
    assert all(0 < wait <= interval_s for wait in waits)
    gaps = [later - earlier for earlier, later in zip(waits, [*waits[1:], waits[0] + interval_s], strict=True)]
    assert gaps == pytest.approx([interval_s / gpus] * gpus, abs=1e-6 * interval_s + 1e-8)
    # a collection that took long skips what it missed and falls back into step
    again = timetables[0].wait_s(now + waits[0] + late * interval_s)
    assert again > 0
