import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.attribution.label_patterns import compile_pattern


@pytest.mark.parametrize(
    ("pattern", "found", "not_found"),
    [
        ("app", "my-app.x", "apx"),
        ("^app$", "app", "my-app"),
        ("", "anything", None),
        ("[[:alpha:]]{3}", "a-abc", "ab1c"),
        (r"app\z", "my-app", "app1"),
        (r"^\pL+$", "wärme", "w4rme"),
        ("(?P<team>a|b)-(?<role>c)", "b-c", "c-b"),
        ("(?i)^APP$", "app", "apple"),
        (r"^\Qa.b\E", "a.b/c", "axb"),
        (r"\Q\C\E", r"x\C", "x"),
        (r"\\C", r"x\C", "x"),
    ],
)
def test_go_expressions_are_found_anywhere_in_a_name(pattern: str, found: str, not_found: str | None) -> None:
    is_found = compile_pattern(pattern)
    assert is_found(found)
    assert not_found is None or not is_found(not_found)


@pytest.mark.parametrize("pattern", ["^(([a-z])+.)+[A-Z]([a-z])+$", "^(a+)+$", "^(a|aa)+$", "(x+x+)+y", "(.*)*$^"])
def test_no_expression_takes_long_for_a_long_name(pattern: str) -> None:
    compile_pattern(pattern)("a" * 300 + "x" * 300 + "!")


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("a(b", "missing )"),
        ("(?=x)", "invalid perl operator"),
        (r"(a)\1", r"invalid escape sequence: \1"),
        (r"\Z", r"invalid escape sequence: \Z"),
        ("a{1,2000}", "invalid repetition size"),
        (r"\C", r"invalid escape sequence: \C"),
        (r"a\\\C", r"invalid escape sequence: \C"),
        (r"\Qa\E\C", r"invalid escape sequence: \C"),
        ("\ud83d", "not UTF-8"),
    ],
)
def test_what_go_refuses_is_refused_with_the_reason(
    pattern: str, reason: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(repr(pattern))}: .*{re.escape(reason)}"):
        compile_pattern(pattern)
    assert capfd.readouterr() == ("", ""), "RE2 writes lines of its own unless told not to"


@given(st.text() | st.text(r"\QEC[](){}*+?|^$.a1,:<>=!P"), st.text(max_size=400))
def test_any_text_is_an_expression_or_refused_in_one_line(pattern: str, name: str) -> None:
    try:
        is_found = compile_pattern(pattern)
    except ValueError as error:
        refusal = str(error)
    else:
        is_found(name)
        refusal = ""
    assert "\n" not in refusal


@given(st.text(st.characters(exclude_categories=["Cs"])), st.text())
def test_a_quoted_text_is_found_where_it_stands(text: str, before: str) -> None:
    quoted = "".join(rf"\x{{{ord(letter):x}}}" for letter in text)
    assert compile_pattern(quoted)(before + text)
