from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.doctor.decision import (
    Bounds,
    Proposal,
    TargetPod,
    Tolerance,
    decide,
    propose_for_pods,
    propose_for_total,
    propose_for_value,
    thousandths,
)

USUAL = Tolerance()


def pods(count: int, pending: int = 0, ignored: int = 0) -> list[TargetPod]:
    running = [TargetPod(f"pod-{number}") for number in range(count)]
    waiting = [TargetPod(f"pending-{number}", is_pending=True) for number in range(pending)]
    return running + waiting + [TargetPod(f"gone-{number}", is_ignored=True) for number in range(ignored)]


def values(*percent: float) -> dict[str, int]:
    return {f"pod-{number}": round(value * 1000) for number, value in enumerate(percent)}


@pytest.mark.parametrize(
    ("found", "there", "current", "expected"),
    [
        (values(83, 83, 83), pods(3), 3, Proposal(5, "the mean is 83 of 50")),
        (values(45, 55), pods(2), 2, Proposal(2, "the mean is 50 of 50, which is within the tolerance")),
        (values(55, 55), pods(2), 2, Proposal(2, "the mean is 55 of 50, which is within the tolerance")),
        (values(56), pods(1), 1, Proposal(2, "the mean is 56 of 50")),
        (values(10, 10, 10, 10), pods(4), 4, Proposal(1, "the mean is 10 of 50")),
        (values(0, 0), pods(2), 2, Proposal(0, "the mean is 0 of 50")),
        ({}, pods(2), 2, Proposal(None, "pods with a value: 0 of 2")),
        ({}, [], 1, Proposal(None, "there is no pod")),
        (values(90) | {"stranger": 1000}, pods(1, ignored=2), 1, Proposal(2, "the mean is 90 of 50")),
        (
            values(90),
            pods(2),
            2,
            Proposal(
                2,
                "the mean is 90 of 50, known of 1; with 1 without a value it counts as 45, which is within the"
                " tolerance",
            ),
        ),
        (
            values(100, 100),
            pods(2, pending=1),
            3,
            Proposal(4, "the mean is 100 of 50, known of 2; with 1 not started it counts as 66.7"),
        ),
        (
            values(10),
            pods(2),
            2,
            Proposal(2, "the mean is 10 of 50, known of 1; with 1 without a value it counts as 30"),
        ),
    ],
)
def test_pods_are_counted_as_kubernetes_counts_them(
    found: dict[str, int], there: list[TargetPod], current: int, expected: Proposal
) -> None:
    assert propose_for_pods(found, there, 50_000, current, USUAL) == expected


def test_a_tolerance_of_the_autoscalers_own_counts() -> None:
    assert propose_for_pods(values(55), pods(1), 50_000, 1, Tolerance(up=0.05)).replicas == 2
    assert propose_for_pods(values(30, 30), pods(2), 50_000, 2, Tolerance(down=0.5)).replicas == 2


def test_a_total_is_shared_and_a_value_is_compared() -> None:
    assert propose_for_total(14_000, 5_000, 1, USUAL) == Proposal(3, "the total is 14, at 5 per pod")
    assert propose_for_total(15_500, 5_000, 3, USUAL).replicas == 3
    assert propose_for_total(14_000, 5_000, 0, USUAL).replicas == 3
    assert propose_for_value(120_000, 50_000, 2, USUAL) == Proposal(5, "the value is 120 of 50")
    assert propose_for_value(54_000, 50_000, 2, USUAL).replicas == 2
    assert propose_for_value(120_000, 50_000, 0, USUAL).replicas == 3


@pytest.mark.parametrize(
    ("proposals", "bounds", "sentence"),
    [
        ([Proposal(5, "the mean is 83 of 50")], Bounds(1, 8, 3), "would scale to 5, because the mean is 83 of 50"),
        ([Proposal(5, "a")], Bounds(1, 4, 4), "stays at 4, because a, and maxReplicas is 4"),
        ([Proposal(0, "a")], Bounds(1, 4, 4), "would scale to 1, because a, and minReplicas is 1"),
        ([Proposal(2, "a"), Proposal(3, "b")], Bounds(1, 4, 2), "would scale to 3, because b"),
        ([Proposal(1, "a"), Proposal(None, "b is unknown")], Bounds(1, 4, 2), "stays at 2, because b is unknown"),
        ([Proposal(3, "a"), Proposal(None, "b is unknown")], Bounds(1, 4, 2), "would scale to 3, because a"),
        ([Proposal(None, "b is unknown")], Bounds(1, 4, 2), "stays at 2, because b is unknown"),
        ([], Bounds(1, 4, 2), "stays at 2, because it has no metric"),
    ],
)
def test_the_largest_proposal_counts_within_the_bounds(
    proposals: list[Proposal], bounds: Bounds, sentence: str
) -> None:
    assert decide(proposals, bounds) == sentence


COUNTS = st.integers(0, 6)
LOADS = st.integers(0, 100_000)


@given(st.lists(LOADS, min_size=1, max_size=8), COUNTS, COUNTS, st.integers(1, 100_000))
def test_a_gap_never_scales_the_other_way_or_further(loads: list[int], missing: int, pending: int, target: int) -> None:
    found = {f"pod-{number}": load for number, load in enumerate(loads)}
    current = len(loads) + missing + pending
    without_gaps = Fraction(sum(loads) // len(loads), target)
    wanted = propose_for_pods(found, pods(len(loads) + missing, pending), target, current, USUAL).replicas
    assert wanted is not None
    if without_gaps > 1:
        assert wanted >= current or not (missing or pending)
    if without_gaps < 1:
        assert wanted <= current


@given(st.integers(0, 10**9))
def test_what_is_shown_of_a_value_is_near_it(value: int) -> None:
    assert abs(Fraction(thousandths(value)) * 1000 - value) <= (50 if value >= 10_000 else 0)
