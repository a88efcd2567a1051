"""Loads for properties: any activity of the kinds that a scenario can have."""

from hypothesis import strategies as st

from exporter.mock.machine.signals import Constant, Signal, Steps, Wave

levels = st.floats(0, 1)


@st.composite
def pulses(draw: st.DrawFn) -> Steps:
    lengths = draw(st.lists(st.integers(1, 50), min_size=1, max_size=6))
    starts = [0.0]
    for tenths in lengths:
        starts.append(round(starts[-1] + tenths / 10, 1))
    heights = draw(st.lists(levels, min_size=len(lengths), max_size=len(lengths)))
    return Steps(tuple(starts[:-1]), tuple(heights), starts[-1] if draw(st.booleans()) else None)


activities: st.SearchStrategy[Signal] = (
    st.builds(Constant, levels)
    | st.builds(Wave, st.floats(0, 0.5), st.floats(0.5, 1), st.floats(1, 120), st.floats(0, 120))
    | pulses()
)

waits = st.floats(0, 100)
