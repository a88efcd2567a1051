"""Loads of every kind that the mock has, at random, as a scenario writes them."""

from hypothesis import strategies as st

_PERCENT = st.integers(0, 100)
_STEP = st.tuples(st.sampled_from([0.05, 0.1, 0.37, 0.5, 0.63, 1, 7]), _PERCENT)


def _steps(steps: list[tuple[float, int]]) -> str:
    listed = ", ".join(f"{{for_s: {for_s}, percent: {percent}}}" for for_s, percent in steps)
    return f"{{kind: steps, repeat: true, steps: [{listed}]}}"


def _wave(levels: tuple[int, int], period_s: float) -> str:
    low, high = sorted(levels)
    return f"{{kind: wave, low_percent: {low}, high_percent: {high}, period_s: {period_s}}}"


LOADS = st.one_of(
    _PERCENT.map(str),
    st.builds(_wave, st.tuples(_PERCENT, _PERCENT), st.floats(0.05, 120)),
    st.lists(_STEP, min_size=1, max_size=5).map(_steps),
    st.just("{kind: replay, recording: h100-trace, at_end: repeat}"),
)
"""Constant, wave, steps and replay."""
