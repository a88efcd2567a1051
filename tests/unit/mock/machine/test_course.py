"""Signals that change while the mock runs: the past stays, totals stay exact."""

import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.mock.machine.course import KEPT_S, Course
from exporter.mock.machine.signals import Constant, Signal, Steps, Wave

levels = st.floats(0, 1)

signals: st.SearchStrategy[Signal] = (
    st.builds(Constant, levels)
    | st.builds(Wave, levels, levels, st.floats(1, 100), st.floats(0, 100))
    | st.builds(lambda level: Steps((0.0, 1.0), (level, 1 - level), 2.0), levels)
)

changes = st.lists(st.tuples(st.floats(0.001, 30), signals), max_size=8)
spans = st.tuples(st.floats(-20, 200), st.floats(0, 100))


def changed(first: Signal, steps: list[tuple[float, Signal]]) -> tuple[Course, list[tuple[float, Signal]]]:
    """Return a course after changes that follow each other by so many seconds, and when each signal began."""
    course, at = Course(first), 0.0
    parts = [(-math.inf, first)]
    for wait_s, signal in steps:
        at += wait_s
        course.change(at, signal)
        parts.append((at, signal))
    return course, parts


@settings(deadline=None)
@given(signals, changes, spans)
def test_the_area_is_the_sum_of_what_each_signal_gave_while_it_held(
    first: Signal, steps: list[tuple[float, Signal]], span: tuple[float, float]
) -> None:
    course, parts = changed(first, steps)
    start, end = span[0], span[0] + span[1]
    clipped = [
        (signal, max(began, start), min(ended, end))
        for (began, signal), (ended, _) in pairwise([*parts, (math.inf, first)])
    ]
    area = math.fsum(signal.integral(low, high) for signal, low, high in clipped if low < high)
    assert course.integral(start, end) == pytest.approx(area, abs=1e-9)
    holding = [signal for began, signal in parts if began <= start][-1]
    assert course.value(start) == holding.value(start)


@settings(deadline=None)
@given(signals, changes, st.floats(0.001, 30), signals)
def test_a_change_leaves_the_past_alone(
    first: Signal, steps: list[tuple[float, Signal]], wait_s: float, later: Signal
) -> None:
    course, parts = changed(first, steps)
    now = max(0.0, parts[-1][0]) + wait_s
    moments = [now * part / 10 for part in range(10)]

    def past() -> list[tuple[float, float]]:
        return [(course.value(t), course.integral(t, now)) for t in moments]

    before = past()
    course.change(now, later)
    assert past() == [pytest.approx(pair, abs=1e-9) for pair in before]
    assert course.value(now) == later.value(now)


def test_the_last_of_several_changes_at_one_moment_counts() -> None:
    course = Course(Constant(0.1))
    course.change(0.0, Constant(0.2))
    assert (course.value(-5), course.integral(-5, 5)) == (0.2, 2.0)
    course.change(3.0, Constant(0.3))
    course.change(3.0, Constant(0.4))
    assert (course.value(2.9), course.value(3.0)) == (0.2, 0.4)
    assert course.integral(2, 4) == pytest.approx(0.6)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.floats(1, 300), levels), min_size=1, max_size=40))
def test_what_is_long_past_is_merged_and_the_total_stays_exact(steps: list[tuple[float, float]]) -> None:
    course, at, total, level = Course(Constant(0.5)), 0.0, 0.0, 0.5
    kept: list[tuple[float, float]] = [(0.0, 0.5)]
    for wait_s, new_level in steps:
        total += level * wait_s
        at, level = at + wait_s, new_level
        course.change(at, Constant(level))
        kept.append((at, level))
        assert course.integral(0.0, at) == pytest.approx(total, abs=1e-6)
        for began, held in kept:
            if began >= at - KEPT_S:
                assert course.value(began) == held


def test_a_course_of_many_changes_keeps_only_the_newest() -> None:
    course = Course(Constant(0.0))
    for second in range(1, 5001):
        course.change(float(second), Constant(second % 2))
    assert course.integral(0, 5000) == pytest.approx(2500)
    assert [course.value(4990 + second) for second in range(4)] == [0, 1, 0, 1]
    assert course.value(100) == course.value(101) == pytest.approx(0.5, abs=0.01)
