"""Pages as commands and answers: what is written comes back, and an answer is compared as a reader would."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.page_steps import Step, disagreement, shell_commands, steps

WORD = st.text(
    st.characters(codec="utf-8", exclude_characters="`\\<#'\"…\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"), min_size=1
)
LINE = WORD.map(lambda text: " ".join(text.split())).filter(bool)
HERE_DOCUMENT = st.lists(LINE.filter(lambda line: line != "EOF"), min_size=1).map(
    lambda lines: "\n".join(["cat > file <<'EOF'", *lines, "EOF"])
)
CONTINUED = st.tuples(LINE, LINE).map(" \\\n  ".join)
COMMAND = LINE | CONTINUED | HERE_DOCUMENT
ANSWER = st.just("") | st.lists(LINE, min_size=1).map(lambda lines: "".join(f"{line}\n" for line in lines))
HEADINGS = st.lists(LINE, min_size=1, max_size=3).map(tuple)
STEPS = st.lists(st.builds(Step, HEADINGS, COMMAND, ANSWER))


def written(step: Step) -> str:
    headings = "".join(f"{'#' * (depth + 1)} {text}\n" for depth, text in enumerate(step.headings))
    answer = f"```text\n{step.answer}```\n" if step.answer else ""
    return f"{headings}It prints:\n```sh\n# what is done\n{step.command}\n```\nWhich says:\n{answer}"


@given(STEPS)
def test_what_is_written_comes_back(page: list[Step]) -> None:
    assert steps("".join(map(written, page))) == page


@given(st.text())
def test_any_text_is_a_page(text: str) -> None:
    for step in steps(text):
        assert step.command.strip()


def test_an_answer_belongs_to_the_last_command_before_it_and_other_blocks_to_none() -> None:
    page = (
        "# A\n```sh\none\n\ntwo\n```\n## B\n```yaml\nkey: value\n```\n```text\nlost\n```\n"
        "```sh\nthree\n```\n```text\n3\n```\n"
    )
    assert steps(page) == [Step(("A",), "one"), Step(("A",), "two"), Step(("A", "B"), "three", "3\n")]


def test_commands_are_split_where_a_shell_would() -> None:
    quoted = "patch x --patch '\nspec:\n  # kept\n'"
    assert shell_commands(f"{quoted}\nls # isn't it\n") == [quoted, "ls # isn't it"]
    text = "# first\nhelm install x \\\n  --wait   # patient\n\ncat > f <<'EOF'\n# kept\n\nEOF\nls\n"
    assert shell_commands(text) == ["helm install x \\\n  --wait   # patient", "cat > f <<'EOF'\n# kept\n\nEOF", "ls"]


@given(ANSWER)
def test_a_text_agrees_with_itself(text: str) -> None:
    assert disagreement(text, text) == ""


@pytest.mark.parametrize(
    ("answer", "printed"),
    [
        ("NAME   AGE\nx   3m", "NAME  AGE\nx     14s"),
        ("x   3m", "x     2d4h"),
        ('{"a":…"value":"30"…', '{"a":1,"b":[2],"value":"30"}'),
        ("✓ hpa   …", "✓ hpa      stays at 1"),
        ("b\nd", "a\nb\nc\nd\ne"),
        ("daemon …", "daemon"),
    ],
)
def test_gaps_ages_blanks_and_further_lines_are_no_disagreement(answer: str, printed: str) -> None:
    assert disagreement(answer, printed) == ""


@pytest.mark.parametrize(
    ("answer", "printed", "line"),
    [
        ("30/50", "45/50", "30/50"),
        ("x 3m", "x three", "x 3m"),
        ("a.c", "abc", "a.c"),
        ("b\na", "a\nb", "a"),
        ("✓ hpa …", "✗ hpa no", "✓ hpa …"),
        ("running", "", "running"),
    ],
)
def test_the_first_line_that_is_missing_is_named(answer: str, printed: str, line: str) -> None:
    assert disagreement(answer, printed) == line
