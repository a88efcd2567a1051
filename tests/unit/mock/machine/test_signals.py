import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from exporter.mock.machine.signals import Between, Bursts, Constant, Mix, Signal, Steps, Trailing, Wave

levels = st.floats(0, 1)
tenths = st.integers(1, 60).map(lambda n: n / 10)


@st.composite
def step_signals(draw: st.DrawFn) -> Steps:
    lengths = draw(st.lists(tenths, min_size=1, max_size=6))
    starts = [0.0]
    for length in lengths:
        starts.append(round(starts[-1] + length, 1))
    values = draw(st.lists(levels, min_size=len(lengths), max_size=len(lengths)))
    period_s = starts[-1] if draw(st.booleans()) else None
    return Steps(tuple(starts[:-1]), tuple(values), period_s)


@st.composite
def burst_signals(draw: st.DrawFn) -> Bursts:
    period, burst = draw(st.integers(1, 60)), draw(st.integers(0, 60))
    return Bursts(min(burst / period, 1.0), period / 10)


waves = st.builds(Wave, levels, levels, st.floats(0.5, 100), st.floats(-100, 100))
simple = st.builds(Constant, levels) | waves | step_signals() | burst_signals()
signals: st.SearchStrategy[Signal] = (
    simple
    | st.builds(Between, simple, st.floats(0, 1000), st.floats(0, 1000))
    | st.builds(Mix, st.lists(st.tuples(levels, simple), min_size=1, max_size=3).map(tuple))
)


QUADRATURE = (
    (0.04691007703066800, 0.11846344252809454),
    (0.23076534494715845, 0.23931433524968324),
    (0.5, 0.28444444444444444),
    (0.76923465505284155, 0.23931433524968324),
    (0.95308992296933200, 0.11846344252809454),
)
"""Gauss and Legendre's nodes and weights on 0 to 1: exact for polynomials up to degree 9, and within 1e-9 for our waves
over a tenth of a second. Steps jump at whole tenths only."""


@settings(deadline=None)
@given(signals, st.integers(-200, 200), st.integers(1, 100))
@example(Between(Wave(0, 1, 0.5, 0), 0, 22), -162, 2)
def test_the_integral_is_the_area_under_the_values(signal: Signal, start_tenths: int, length_tenths: int) -> None:
    start, end = start_tenths / 10, (start_tenths + length_tenths) / 10
    tenths = range(start_tenths, start_tenths + length_tenths)
    area = math.fsum(weight * signal.value((tenth + node) / 10) for tenth in tenths for node, weight in QUADRATURE) / 10
    assert signal.integral(start, end) == pytest.approx(area, rel=1e-6, abs=1e-6)


@settings(deadline=None)
@given(signals, st.floats(-50, 50), st.floats(0, 50), st.floats(0, 50))
def test_areas_of_neighbouring_spans_add_up(signal: Signal, start: float, first: float, second: float) -> None:
    middle, end = start + first, start + first + second
    whole = signal.integral(start, end)
    assert signal.integral(start, middle) + signal.integral(middle, end) == pytest.approx(whole, abs=1e-6)


@settings(deadline=None)
@given(step_signals(), st.floats(0, 30))
def test_steps_begin_again_or_hold_the_last_level(steps: Steps, t: float) -> None:
    if steps.period_s is None:
        assert steps.value(1000 + t) == steps.value(2000)
    else:
        whole_passes = steps.integral(t, t + 3 * steps.period_s)
        assert whole_passes == pytest.approx(3 * steps.integral(0, steps.period_s), abs=1e-6)


def test_steps_hold_the_first_level_before_they_begin() -> None:
    steps = Steps((0.0, 2.0), (0.25, 0.75))
    assert (steps.value(-1), steps.value(1.9), steps.value(2.0)) == (0.25, 0.25, 0.75)
    assert steps.integral(-4, 4) == 0.25 * 6 + 0.75 * 2


def test_a_trailing_mean_follows_a_jump_over_its_window() -> None:
    power = Trailing(Steps((0.0, 10.0), (100.0, 300.0)), 1.0)
    assert [power.value(t) for t in (10.0, 10.5, 11.0)] == [100.0, 200.0, 300.0]


def test_a_wave_swings_between_its_levels() -> None:
    wave = Wave(0.2, 0.8, period_s=40)
    assert [wave.value(t) for t in (0, 10, 30)] == [pytest.approx(level) for level in (0.5, 0.8, 0.2)]
