"""Go's text forms of booleans, whole numbers and durations."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.go_values import MAX_INT64, parse_bool, parse_duration, parse_duration_ns, parse_int

TRUE = {"1", "t", "T", "true", "True", "TRUE"}
FALSE = {"0", "f", "F", "false", "False", "FALSE"}
UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}


@given(st.sampled_from(sorted(TRUE | FALSE | {"yes", "on", "tRUE", ""})) | st.text(max_size=5))
def test_a_boolean_is_one_of_the_twelve_that_go_knows(text: str) -> None:
    if text in TRUE | FALSE:
        assert parse_bool(text) is (text in TRUE)
    else:
        with pytest.raises(ValueError, match=r"^$"):
            parse_bool(text)


@given(st.integers(-MAX_INT64, MAX_INT64))
def test_a_whole_number_is_decimal_or_hexadecimal(number: int) -> None:
    assert parse_int(str(number)) == number
    assert parse_int(f"{number:#x}") == number


@pytest.mark.parametrize("text", ["", "1.0", "1e3", " 1", "1 ", "1s", "010", "-", "0x", "1_000", "\u0661", str(2**63)])
def test_anything_else_is_no_whole_number(text: str) -> None:
    with pytest.raises(ValueError, match=r"^$"):
        parse_int(text)


@given(st.lists(st.tuples(st.integers(0, 10**5), st.sampled_from(sorted(UNITS))), min_size=1, max_size=4))
def test_a_duration_is_the_sum_of_its_parts(parts: list[tuple[int, str]]) -> None:
    text = "".join(f"{number}{unit}" for number, unit in parts)
    assert parse_duration_ns(text) == sum(number * UNITS[unit] for number, unit in parts)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("500ms", 0.5), ("10s", 10), ("1m30s", 90), ("1.5h", 5400), (".5s", 0.5), ("1.s", 1)],
)
def test_durations_are_read_in_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "reason"),
    [("10", "a unit is missing"), ("3000000h", r"292 years"), ("9" * 30 + "s", r"292 years")]
    + [(text, r"^$") for text in ("", "s", ".s", "-1s", "1d", "1s ", "1 s", "s1", "1s1", "\u0661s")],
)
def test_anything_else_is_no_duration(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_duration(text)


@given(st.text(st.sampled_from("0123456789.+-hmnsuµ "), max_size=40) | st.text(max_size=10))
@example("1" * 5000 + "s")
def test_any_text_is_a_duration_or_a_value_error(text: str) -> None:
    try:
        seconds = parse_duration(text)
    except ValueError:
        return
    assert 0 <= seconds <= MAX_INT64 / 10**9
