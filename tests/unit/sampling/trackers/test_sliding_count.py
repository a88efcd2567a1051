from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from exporter.sampling.trackers.sliding_count import SLICES, SlidingCount, Tally

WINDOW_S = 300.0
STEP_S = WINDOW_S / SLICES


def test_what_came_within_the_window_is_counted_and_then_forgotten() -> None:
    count = SlidingCount(WINDOW_S)
    count.add("31", 10.0)
    count.add("31", 100.0)
    count.add("79", 100.0)
    assert count.tallies(200.0) == [Tally("31", 2), Tally("79", 1)]
    assert count.tallies(310.0) == [Tally("31", 1), Tally("79", 1)]
    assert count.tallies(400.0) == [Tally("", 0)]


@given(st.lists(st.tuples(st.floats(0, 50), st.sampled_from("abc")), max_size=200))
def test_the_count_is_that_of_the_window_to_a_hundredth_of_it(steps: list[tuple[float, str]]) -> None:
    count, now, came = SlidingCount(WINDOW_S), 0.0, list[tuple[float, str]]()
    for passed_s, what in steps:
        now += passed_s
        count.add(what, now)
        came.append((now, what))
        counted = {tally.what: tally.value for tally in count.tallies(now)}
        within, surely = (
            Counter(what for at, what in came if now - at < length) for length in (WINDOW_S, WINDOW_S - STEP_S)
        )
        assert all(surely[one] <= counted.get(one, 0) <= within[one] for one in "abc")
