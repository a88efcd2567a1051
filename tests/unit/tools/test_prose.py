import re

from hypothesis import given
from hypothesis import strategies as st

from tools.prose import WIDTH, long_lines, wrapped

LONG = " ".join(["word"] * 30)
TOKENS = st.sampled_from(
    ["word", "a", "`two words`", "[a link](https://example.com/with/a/path)", "-", "1.", "#", "x" * 70]
)
LINES = st.lists(TOKENS, min_size=1, max_size=40).map(" ".join)


def test_a_line_of_prose_is_long_beyond_its_width() -> None:
    just = "x" * (WIDTH - 2) + " y"
    assert list(long_lines(f"{just}\n\n{just}y\n")) == [3]
    assert list(long_lines(f"# A heading\n\n- item\n- {LONG}\n\n# {LONG}\n")) == [4, 6]


def test_tables_code_targets_of_links_and_what_can_not_be_broken_may_be_longer() -> None:
    target = "https://example.com/" + "x" * WIDTH
    text = f"| {LONG} |\n\n```\n{LONG}\n```\n\nSee [this]({target}).\n\n{target}\n\n<!-- {LONG} -->\n"
    assert list(long_lines(text)) == []
    assert wrapped(text) == text


def test_a_long_paragraph_is_wrapped_and_its_neighbours_are_left_alone() -> None:
    text = f"Short\nlines.\n\n- {LONG}\n  {LONG}\n- short\n  item\n\n> {LONG}\n"
    made = wrapped(text).splitlines()
    assert made[:3] == ["Short", "lines.", ""]
    assert [line[:7] for line in made[3:]] == [
        "- word ",
        "  word ",
        "  word ",
        "- short",
        "  item",
        "",
        "> word ",
        "> word ",
    ]
    assert list(long_lines(wrapped(text))) == []


@given(st.lists(LINES, min_size=1, max_size=5))
def test_wrapping_keeps_every_word_and_what_a_line_means(lines: list[str]) -> None:
    text = "so " + "\n".join(f"and {line}" for line in lines) + "\n"
    made = wrapped(text)
    assert made.split() == text.split()
    assert list(long_lines(made)) == []
    assert not re.search(r"^\s*([-*+]|\d+[.)])\s|^\s*[#>|]", made, re.MULTILINE)
    assert wrapped(made) == made
