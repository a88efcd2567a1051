"""Rhythms of scrapers, learnt from the times of their scrapes alone."""

import math
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.sampling.scrapes import KEPT_CHOICES, LONGEST_INTERVAL_S, LOST, TOLERANCE_S, Scrapes

ENERGY, BUSY = frozenset({"ENERGY"}), frozenset({"BUSY", "OBSERVED"})


def after(*times: float, fields: frozenset[str] | None = None) -> Scrapes:
    scrapes = Scrapes()
    for at in sorted(times):
        scrapes.came(at, fields)
    return scrapes


def each(interval_s: float, count: int, phase_s: float = 100.0) -> list[float]:
    return [phase_s + number * interval_s for number in range(count)]


def expected(scrapes: Scrapes, now: float) -> float | None:
    return scrapes.expected(ENERGY, now, now)


def missed(scrapes: Scrapes, times: Iterable[float]) -> list[float]:
    """Let scrapes come; return those that were not expected. Another scraper's may be that lies close by."""
    found = []
    for at in times:
        known = scrapes.expected(ENERGY, at - 2 * TOLERANCE_S, at)
        is_alone = at - scrapes.newest(ENERGY) > TOLERANCE_S
        if is_alone and (known is None or known > at + TOLERANCE_S):
            found.append(at)
        scrapes.came(at)
    return found


def test_a_rhythm_is_known_from_its_third_scrape_on() -> None:
    assert expected(after(), 100) is None
    assert expected(after(*each(15, 2)), 116) is None
    assert expected(after(*each(15, 3)), 131) == 145


@given(
    interval_s=st.floats(1, 120),
    jitters=st.lists(st.floats(-0.02, 0.02), min_size=4, max_size=40),
    phase=st.floats(0, 1e6),
)
def test_each_scrape_of_a_regular_scraper_is_expected_but_the_first_three(
    interval_s: float, jitters: list[float], phase: float
) -> None:
    times = [phase + number * interval_s + jitter for number, jitter in enumerate(jitters)]
    assert missed(Scrapes(), times) == times[:3]


@given(
    intervals=st.lists(st.sampled_from([5, 10, 15, 20, 30, 60]), min_size=2, max_size=3),
    phases=st.lists(st.integers(0, 60), min_size=3, max_size=3),
)
def test_each_scrape_of_several_scrapers_is_expected_once_their_rhythms_are_known(
    intervals: list[float], phases: list[int]
) -> None:
    times = sorted(
        at
        for interval, phase in zip(intervals, phases, strict=False)
        for at in each(interval, round(900 / interval), phase)
    )
    known_from = max(phases[: len(intervals)]) + 8 * max(intervals)
    late = [at for at in missed(Scrapes(), times) if known_from < at < 900]
    assert late == []


def test_of_a_scraper_that_stops_nothing_is_expected_after_four_intervals() -> None:
    scrapes = after(*each(15, 5))
    last = 100 + 4 * 15
    assert [expected(scrapes, last + missing * 15 + 1) for missing in range(LOST + 1)] == [
        *(last + (missing + 1) * 15 for missing in range(LOST)),
        None,
    ]


def test_a_lost_scrape_changes_nothing_and_two_of_three_lost_are_another_rhythm() -> None:
    assert missed(Scrapes(), [100, 115, 130, 160, 175, 205, 220, 235]) == [100, 115, 130]
    scrapes = after(*each(5, 10), *each(15, 3, 160))
    assert expected(scrapes, 191) == 205


@pytest.mark.parametrize(("first_s", "then_s", "in_between"), [(15, 5, 2), (5, 15, 0), (30, 1, 2)])
def test_a_rhythm_that_changes_is_learnt_anew(first_s: float, then_s: float, in_between: int) -> None:
    times = each(first_s, 6)
    times += each(then_s, 12, times[-1] + then_s)
    assert len(missed(Scrapes(), times)) == 3 + in_between


def test_a_rhythm_that_jumps_is_learnt_anew_and_the_old_one_forgotten() -> None:
    scrapes = after(*each(15, 6))
    times = each(15, 8, 100 + 5 * 15 + 19)
    assert missed(scrapes, times) == times[:3]
    assert [expected(scrapes, times[-1] + 15 * n - 1) for n in (1, 2)] == [times[-1] + 15, times[-1] + 30]


def test_slower_scrapers_than_those_of_every_five_minutes_have_no_rhythm() -> None:
    assert expected(after(*each(LONGEST_INTERVAL_S, 3)), 701) is not None
    assert expected(after(*each(LONGEST_INTERVAL_S + 1, 3)), 703) is None


def test_what_a_scrape_does_not_ask_for_is_not_expected_of_it() -> None:
    scrapes = after(*each(2, 10), fields=BUSY)
    assert scrapes.expected(BUSY, 119, 119) == 120
    assert scrapes.expected(ENERGY, 119, 119) is None
    assert (scrapes.newest(BUSY), scrapes.newest(ENERGY)) == (118, -math.inf)
    for at in each(15, 3, 105):
        scrapes.came(at)
    assert scrapes.expected(ENERGY, 136, 136) == 150
    assert scrapes.newest(BUSY) == 135


def test_many_choices_of_names_push_out_no_scraper_that_goes_on() -> None:
    scrapes = Scrapes()
    for at in each(15, 8):
        scrapes.came(at)
        for number in range(KEPT_CHOICES - 1):
            scrapes.came(at + 1 + number, frozenset({f"{at} {number}"}))
    assert expected(scrapes, 206) == 220


def test_no_number_of_choices_pushes_out_scrapers_of_whole_pages() -> None:
    scrapes = Scrapes()
    for at in each(15, 8):
        scrapes.came(at)
        for number in range(3 * KEPT_CHOICES):
            scrapes.came(at + 1 + number / 2, frozenset({f"{at} {number}"}))
    assert (expected(scrapes, 218), scrapes.newest(ENERGY)) == (220, 205)


@given(gaps=st.lists(st.floats(0, 400), max_size=100), ask=st.floats(0, 400))
def test_whatever_comes_an_expected_scrape_lies_ahead(gaps: list[float], ask: float) -> None:
    scrapes, now = Scrapes(), 0.0
    for gap in gaps:
        now += gap
        scrapes.came(now)
    found = expected(scrapes, now + ask)
    assert found is None or found >= now + ask
