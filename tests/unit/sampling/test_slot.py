"""When each source is read: in its period, or for the scrape that asks for it."""

from collections.abc import Iterable
from typing import Any

import pynvml
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from exporter.catalogue import CATALOGUE, catalogue
from exporter.catalogue.busy_seconds import SERIES
from exporter.catalogue.convert import same
from exporter.catalogue.reading import HOURLY, SLOW, Call, Field, Reading
from exporter.model import DeviceSnapshot, Reason
from exporter.sampling.scrapes import TOLERANCE_S
from exporter.sampling.slot import EARLY_S
from exporter.settings import BusySource
from tests.unit.fake_clock import FakeClock
from tests.unit.faulty_nvml import failing
from tests.unit.sampling.bench import POWER, READINGS, TEMPERATURE, Bench


@pytest.mark.parametrize(("interval_s", "slow_reads"), [(1.0, 3), (7.0, 14), (30.0, 61), (100.0, 121)])
def test_readings_keep_their_own_periods_whatever_the_interval_is(interval_s: float, slow_reads: int) -> None:
    bench = Bench(READINGS, interval_s=interval_s)
    for _ in range(121):
        assert bench.read().keys() == {"FAST", "SLOW", "ONCE"}
    assert bench.nvml.calls[TEMPERATURE] == 121
    assert bench.nvml.calls["nvmlSystemGetDriverVersion"] == 1
    assert bench.nvml.calls[POWER] == slow_reads


def test_a_collection_that_comes_a_little_early_is_no_period_lost() -> None:
    bench = Bench(READINGS, interval_s=30)
    bench.sampler.collect()
    bench.clock.advance(59.99)
    bench.sampler.collect()
    assert bench.nvml.calls[POWER] == 2


def test_what_is_read_seldom_expires_by_the_time_at_which_it_was_read() -> None:
    bench = Bench(READINGS)
    read_at = bench.clock.now
    bench.sampler.collect()
    bench.clock.advance(50)
    expires = {sample.field: sample.expires for sample in bench.sampler.collect().samples}
    assert expires["SLOW"] == read_at + 180
    assert expires["FAST"] == bench.clock.now + 3


def test_what_is_read_once_is_tried_again_after_a_minute_where_it_failed() -> None:
    bench = Bench(READINGS)
    bench.nvml.replaced["nvmlSystemGetDriverVersion"] = failing(pynvml.NVML_ERROR_UNKNOWN)
    for _ in range(10):
        assert "ONCE" not in bench.read()
    assert bench.nvml.calls["nvmlSystemGetDriverVersion"] == 1
    del bench.nvml.replaced["nvmlSystemGetDriverVersion"]
    bench.clock.advance(60)
    assert bench.read()["ONCE"] == "580.159.04"


def test_what_is_read_once_an_hour_and_fails_is_asked_again_after_a_minute() -> None:
    serial = "nvmlDeviceGetSerial"
    bench = Bench((READINGS[0], Call(serial, (Field("SERIAL", same),), period=HOURLY)))
    bench.nvml.replaced[serial] = failing(pynvml.NVML_ERROR_TIMEOUT)
    assert "SERIAL" not in bench.read()
    del bench.nvml.replaced[serial]
    assert "SERIAL" not in bench.read()
    for _ in range(3):
        bench.clock.advance(SLOW)
        assert "SERIAL" in bench.read()
    assert bench.nvml.calls[serial] == 2


# Readings at the pace of scrapes.

ACCUMULATED = Call("nvmlDeviceGetPcieReplayCounter", (Field("READ_AT", same),), period=SLOW, accumulates=True)
"""A counter that a test lets tell when it was read, on our clock."""

LOAD = "{kind: steps, repeat: true, steps: [{for_s: 0.7, percent: 100}, {for_s: 1.3, percent: 10}]}"


class Paced(Bench):
    """A GPU collected each second, and its pages at the scrapes of some scrapers."""

    def __init__(self, *readings: Reading, load: str = LOAD) -> None:
        super().__init__(readings or (ACCUMULATED, READINGS[0]), f"{{profile: h100-sxm, load: {load}}}")
        self.nvml.replaced["nvmlDeviceGetPcieReplayCounter"] = lambda _: self.clock.now - START
        self.snapshot = self.sampler.collect()
        self.next_collection = self.clock.now + 0.15

    def until(self, moment: float) -> DeviceSnapshot:
        """Collect in time up to a moment; return the snapshot that a page of that moment shows."""
        while self.next_collection <= moment:
            self.clock.advance(self.next_collection - self.clock.now)
            self.snapshot = self.sampler.collect()
            self.next_collection += 1.0
        self.clock.advance(moment - self.clock.now)
        return self.snapshot

    def page(self, moment: float, fields: frozenset[str] | None = None) -> dict[str, Any]:
        """Return what a scrape gets."""
        snapshot = self.until(START + moment)
        self.scrapes.came(START + moment, fields)
        return {sample.field: sample.value for sample in snapshot.samples if sample.expires > self.clock.now}


START = FakeClock().now
OLDEST_S = 1.0 + EARLY_S
"""How old an accumulating value may be on the page of a regular scraper."""

JITTER_S = 0.01


def ages(paced: Paced, times: Iterable[float]) -> list[float]:
    """Return how old the accumulating value was on the page of each scrape."""
    return [at - paced.page(at)["READ_AT"] for at in times]


def each(interval_s: float, until_s: float, phase_s: float = 0.0) -> list[float]:
    return [phase_s + number * interval_s for number in range(1, int((until_s - phase_s) / interval_s) + 1)]


def reads(paced: Paced) -> int:
    return paced.nvml.calls["nvmlDeviceGetPcieReplayCounter"]


def test_while_nobody_scrapes_regularly_what_accumulates_is_read_at_each_collection() -> None:
    paced = Paced()
    assert max(ages(paced, [1.9, 4.2, 19.4, 20.9, 47.3])) <= OLDEST_S
    assert reads(paced) == paced.nvml.calls[TEMPERATURE]


@given(
    interval_s=st.sampled_from([5.0, 15.0, 30.0, 60.0]),
    phase_s=st.floats(0, 15),
    jitter=st.lists(st.floats(-JITTER_S, JITTER_S), min_size=1, max_size=7),
)
@example(interval_s=60.0, phase_s=1.25, jitter=[0.0, 0.0078125])
@settings(max_examples=15, deadline=None)
def test_a_regular_scraper_gets_values_that_are_one_collection_old_at_most_for_one_reading_a_scrape(
    interval_s: float, phase_s: float, jitter: list[float]
) -> None:
    paced = Paced()
    times = [at + jitter[n % len(jitter)] for n, at in enumerate(each(interval_s, phase_s + 20 * interval_s, phase_s))]
    learning, known = times[:3], times[3:]
    assert max(ages(paced, learning)) <= OLDEST_S
    before = reads(paced)
    assert max(ages(paced, known)) <= OLDEST_S + 3 * JITTER_S, "one that comes late is as much older"
    by_period = len(known) if interval_s >= SLOW else 0  # the reading's own period ends shortly before each scrape
    assert reads(paced) - before <= len(known) + by_period + 1


@given(phases=st.tuples(st.floats(0.2, 15), st.floats(0.2, 5)))
@settings(max_examples=15, deadline=None)
def test_each_of_two_scrapers_gets_fresh_values(phases: tuple[float, float]) -> None:
    paced = Paced()
    fifteen, five = each(15.0, 300, phases[0]), each(5.0, 300, phases[1])
    found = dict(zip(times := sorted({*fifteen, *five}), ages(paced, times), strict=True))
    assert max(age for at, age in found.items() if at > 100) <= OLDEST_S + TOLERANCE_S
    assert reads(paced) < 60 + len(times)


def test_a_scraper_that_stops_is_read_for_no_more_and_then_each_collection_is() -> None:
    paced = Paced()
    ages(paced, each(15.0, 150))
    before = reads(paced)
    paced.until(START + 150 + 60)
    assert reads(paced) - before == 4
    paced.until(START + 150 + 70)
    assert reads(paced) - before == pytest.approx(4 + 10, abs=1)


def test_a_scraper_that_jumps_gets_what_others_got_last_until_its_rhythm_is_known_again() -> None:
    paced = Paced()
    ages(paced, each(15.0, 150))
    found = ages(paced, each(15.0, 300, 150 + 7.5))
    assert max(found[:3]) <= 15 + OLDEST_S
    assert max(found[3:]) <= OLDEST_S


def test_an_unexpected_scrape_gets_values_that_are_as_old_as_the_last_scrape() -> None:
    paced = Paced()
    ages(paced, each(15.0, 150))
    (age,) = ages(paced, [158.0])
    assert 8 <= age <= 8 + OLDEST_S
    assert max(ages(paced, each(15.0, 300)[10:])) <= OLDEST_S


def test_what_accumulates_is_read_each_minute_for_a_scraper_that_comes_less_often() -> None:
    paced = Paced()
    times = each(200.0, 1400)
    assert max(ages(paced, times)) <= OLDEST_S
    before = reads(paced)
    (unexpected,) = ages(paced, [1590.0])
    assert unexpected <= 61
    assert reads(paced) - before == 3


def test_a_scraper_of_other_series_changes_nothing() -> None:
    paced = Paced()
    for at in sorted({*each(15.0, 150), *each(2.0, 150, 0.7)}):
        paced.page(at, None if at % 15 == 0 else frozenset({"FAST"}))
    before = reads(paced)
    for at in each(2.0, 178.0, 150.7):
        paced.page(at, frozenset({"FAST"}))
    assert reads(paced) - before == 1


def test_a_scraper_of_few_series_gets_them_at_its_own_pace() -> None:
    paced, names = Paced(), frozenset({"READ_AT"})
    ages(paced, each(15.0, 150))
    found = {at: at - paced.page(at, names)["READ_AT"] for at in each(2.0, 200, 150.5)}
    assert max(age for at, age in found.items() if at > 157) <= OLDEST_S


def test_the_oldest_accumulating_value_says_how_old_they_are() -> None:
    paced = Paced()
    for at in each(15.0, 150):
        paced.page(at)
    snapshot = paced.until(START + 160)
    assert snapshot.accumulated_at == pytest.approx(snapshot.taken_at - (snapshot.taken - START - 149.15))
    assert snapshot.taken == pytest.approx(START + 159.15)


def test_means_of_which_the_gpu_has_not_all_say_how_old_they_are_too() -> None:
    paced = Paced(*(reading for reading in CATALOGUE if reading.fields[0].name.startswith("DCGM_FI_PROF_")))
    snapshot = paced.until(START + 5)
    assert any(missing.reason is Reason.NOT_SUPPORTED for missing in snapshot.missing), "the GPU has not all of them"
    assert snapshot.accumulated_at is not None


def test_a_reading_that_failed_is_made_again_at_the_next_collection() -> None:
    paced = Paced()
    ages(paced, each(15.0, 149))
    real = paced.nvml.replaced["nvmlDeviceGetPcieReplayCounter"]
    paced.nvml.replaced["nvmlDeviceGetPcieReplayCounter"] = failing(pynvml.NVML_ERROR_UNKNOWN)
    paced.until(START + 149.2)
    paced.nvml.replaced["nvmlDeviceGetPcieReplayCounter"] = real
    assert "READ_AT" not in paced.page(150.0)
    assert ages(paced, [151.0]) == pytest.approx([0.85])


def test_a_reading_that_fails_on_and_on_is_made_for_the_scrapes_alone() -> None:
    paced = Paced()
    ages(paced, each(15.0, 149))
    paced.nvml.replaced["nvmlDeviceGetPcieReplayCounter"] = failing(pynvml.NVML_ERROR_NO_PERMISSION)
    before = reads(paced)
    for at in each(15.0, 300)[9:]:
        assert "READ_AT" not in paced.page(at)
    assert reads(paced) - before == 11 + 1


ENERGY = "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"


@pytest.mark.parametrize("interval_s", [5.0, 15.0, 60.0])
def test_counters_say_the_same_as_those_of_a_run_at_each_second(interval_s: float) -> None:
    names = {counter.field for source in BusySource for counter in SERIES[source]} | {ENERGY}
    wanted = [reading for reading in CATALOGUE if reading.fields[0].name in names]
    seldom, often = Paced(*wanted), Paced(*wanted)
    growth: dict[str, tuple[float, float]] = {}
    pages = {at: (seldom.page(at), often.until(START + at)) for at in each(interval_s, 8 * interval_s)}
    assert seldom.nvml.calls.total() < often.nvml.calls.total()
    (first, often_first), (last, often_last) = pages[4 * interval_s], pages[8 * interval_s]
    begin = {sample.field: float(sample.value) for sample in often_first.samples}
    end = {sample.field: float(sample.value) for sample in often_last.samples}
    for name in names & last.keys():
        growth[name] = (float(last[name]) - float(first[name]), end[name] - begin[name])
    assert {name for name, (own, true) in growth.items() if own != pytest.approx(true, rel=0.005, abs=0.3)} == set()
    assert growth.keys() >= {ENERGY, "gpu_exporter_busy_seconds_total", "gpu_exporter_sm_active_seconds_total"}


def test_a_scraper_of_busy_seconds_does_not_shorten_the_mean_that_another_one_gets() -> None:
    """Two thirds of each scrape's 15 s are busy, and that is what each mean says, however often totals are read."""
    busy, util = frozenset({"gpu_exporter_busy_seconds_total"}), "DCGM_FI_DEV_GPU_UTIL"
    wanted = [reading for reading in catalogue(mean_gpu_util=True) if reading.fields[0].name in {*busy, util}]
    paced = Paced(
        *wanted, load="{kind: steps, repeat: true, steps: [{for_s: 10, percent: 100}, {for_s: 5, percent: 0}]}"
    )
    whole = dict.fromkeys(each(15.0, 300))
    asked: dict[float, frozenset[str] | None] = {**whole, **dict.fromkeys(each(2.0, 300, 0.7), busy)}
    pages = {at: paced.page(at, fields) for at, fields in sorted(asked.items())}
    means = [pages[at][util] for at in whole if at > 60]
    assert means == pytest.approx([66.7] * len(means), abs=3)


def test_a_mean_that_is_asked_for_again_does_not_span_the_time_in_which_it_was_not() -> None:
    mean, total = "DCGM_FI_PROF_GR_ENGINE_UTIL_RATIO", "gpu_exporter_sm_active_seconds_total"
    wanted = [reading for reading in CATALOGUE if {mean, total} & {field.name for field in reading.fields}]
    paced = Paced(*wanted, load="{kind: steps, steps: [{for_s: 60, percent: 100}, {for_s: 1, percent: 0}]}")
    assert paced.page(60)[mean] > 0.9
    paced.follow(*(reading for reading in wanted if reading.fields[0].name != mean))
    grown = paced.page(90)[total]
    paced.follow(*wanted)
    assert [paced.page(at).get(mean, 0) for at in (91, 92, 93)] == [0, 0, 0]
    assert paced.page(94)[total] == pytest.approx(grown)


def test_a_scraper_of_one_mean_does_not_shorten_another_one() -> None:
    mine, theirs = "DCGM_FI_PROF_GR_ENGINE_UTIL_RATIO", "DCGM_FI_PROF_SM_UTIL_RATIO"
    wanted = [reading for reading in CATALOGUE if reading.fields[0].name in {mine, theirs}]
    load = "{kind: steps, repeat: true, steps: [{for_s: 10, percent: 100}, {for_s: 5, percent: 0}]}"
    alone, shared = (Paced(*wanted, load=load) for _ in range(2))
    expected = [alone.page(at)[mine] for at in each(15.0, 300)]
    whole = dict.fromkeys(each(15.0, 300))
    asked: dict[float, frozenset[str] | None] = {
        **whole,
        **dict.fromkeys(each(2.0, 300, 0.7), frozenset({theirs})),
    }
    pages = {at: shared.page(at, fields) for at, fields in sorted(asked.items())}
    assert [pages[at][mine] for at in whole][5:] == pytest.approx(expected[5:], abs=0.01)
    assert {round(page[theirs]) for at, page in pages.items() if at > 60} == {0, 1}, "and theirs spans their 2 s"
