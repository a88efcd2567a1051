import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.errors import ConfigError
from exporter.mock.document import parse_document
from exporter.mock.machine.profile import Span, Total
from exporter.mock.scenario.value_groups import ValueGroups, expanded

GROUPS = """
values:
  - source: a data sheet
    "{graphics,sm}_clock_mhz": {idle: 210, busy: 1410}
    energy_mj: 7
  - source: assumed
    sm_clock_mhz: 300
    energy_mj: {start: 5, idle: 1, busy: 2}
"""


def taken(text: str) -> ValueGroups:
    groups = ValueGroups()
    groups.take(parse_document(text, "model.yaml"))
    return groups


def test_a_value_is_a_number_or_follows_the_load_or_grows_and_the_last_group_counts() -> None:
    groups = taken(GROUPS)
    assert groups.spans == {"graphics_clock_mhz": Span(210, 1410), "sm_clock_mhz": Span(300, 300)}
    assert groups.totals == {"energy_mj": Total(5, Span(1, 2))}


@settings(deadline=None)
@given(st.lists(st.sampled_from("abcxyz"), min_size=1, max_size=4), st.integers(0, 20), st.integers(0, 20))
def test_braces_stand_for_each_choice_and_each_number_of_a_range(choices: list[str], low: int, count: int) -> None:
    pattern = f"n_{{{','.join(choices)}}}_l{{{low}..{low + count}}}"
    assert list(expanded(pattern)) == [f"n_{one}_l{n}" for one in choices for n in range(low, low + count + 1)]


@pytest.mark.parametrize(
    ("group", "sentence"),
    [
        ("{energy_mj: 1}", r"values\[0\].source: is missing"),
        ("{source: s, sm_clock: 1}", r"values\[0\].sm_clock: has sm_clock, which is not a quantity"),
        ("{source: s, sm_clock_mhz: -1}", r"values\[0\].sm_clock_mhz: is -1"),
        ("{source: s, sm_clock_mhz: {idle: 1}}", r"values\[0\].sm_clock_mhz.busy: is missing"),
    ],
)
def test_a_wrong_value_is_named_with_its_file_and_key(group: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=rf"^model.yaml: {sentence}"):
        taken(f"values: [{group}]")
