from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.doctor.quantity import parse_quantity


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("83", Fraction(83)),
        ("4666m", Fraction(4666, 1000)),
        ("-1", Fraction(-1)),
        ("1.5k", Fraction(1500)),
        ("2Ki", Fraction(2048)),
        ("1Ei", Fraction(2**60)),
        ("12e6", Fraction(12_000_000)),
        ("1E3", Fraction(1000)),
        ("1E", Fraction(10**18)),
        ("3n", Fraction(3, 10**9)),
        (".5", Fraction(1, 2)),
        ("5.", Fraction(5)),
    ],
)
def test_a_quantity_is_read_as_kubernetes_reads_it(text: str, number: Fraction) -> None:
    assert parse_quantity(text) == number


@given(st.text(max_size=20))
def test_whatever_is_no_quantity_is_a_value_error(text: str) -> None:
    try:
        found = parse_quantity(text)
    except ValueError:
        return
    assert isinstance(found, Fraction)
