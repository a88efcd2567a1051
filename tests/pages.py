"""The pages for readers, as data: their fenced blocks, by heading and language."""

import re
import textwrap
from pathlib import Path

from tests.page_steps import shell_commands

DOCS = Path(__file__).parents[1] / "docs"
_FENCED = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^(#+) (.*)$", re.MULTILINE)


def page(name: str) -> str:
    """Return the text of a page of docs/."""
    return (DOCS / f"{name}.md").read_text(encoding="utf-8")


def section(text: str, heading: str) -> str:
    """Return what stands below a heading, up to the next heading of its level or above it.

    Raises:
        ValueError: The page has no such heading, or two.
    """
    headings = list(_HEADING.finditer(_FENCED.sub(_blank, text)))
    [at] = [number for number, found in enumerate(headings) if found[2] == heading]
    begin = headings[at]
    after = (found.start() for found in headings[at + 1 :] if len(found[1]) <= len(begin[1]))
    return text[begin.end() : next(after, len(text))]


def _blank(fenced: re.Match[str]) -> str:
    """Return as many characters, in which no heading is."""
    return " " * len(fenced[0])


def without_blocks(text: str) -> str:
    """Return sentences, tables and headings alone."""
    return _FENCED.sub("", text)


def blocks(text: str, language: str) -> list[str]:
    """Return the fenced blocks of a language, without their indentation."""
    return [textwrap.dedent(body) for _, found, body in _FENCED.findall(text) if found == language]


def commands(text: str) -> list[str]:
    """Return the commands of the shell blocks."""
    return [command for body in blocks(text, "sh") for command in shell_commands(body)]
