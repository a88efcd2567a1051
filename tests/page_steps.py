"""The commands of a page in their order, each with what the page says that it prints.

Commands stand in fenced blocks of the language `sh`. A block of the language `text` behind such a block is the answer
to its last command: `…` stands for anything, ages differ, blanks between columns don't count, and there may be more
lines.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

ANYTHING = "…"

_FENCE = re.compile(r" {0,3}```(\w*)$")
_HEADING = re.compile(r"(#+) (.*)$")
_HERE_DOCUMENT = re.compile(r"<<'?(\w+)'?")
_AGE = re.compile(r"\d+[smhd](\d+[smh])?")


@dataclass(frozen=True, slots=True)
class Step:
    """One command.

    Attributes:
        headings: Those that it stands below, the outermost first.
        command: As the page has it, over several lines where it is continued or has a here-document.
        answer: What the page says it prints; empty where it says nothing.
    """

    headings: tuple[str, ...]
    command: str
    answer: str = ""


def steps(text: str) -> list[Step]:
    """Return the commands of a page."""
    found: list[Step] = []
    for headings, language, body in _blocks(text):
        if language == "sh":
            found += [Step(headings, command) for command in shell_commands(body)]
        elif language == "text" and found and found[-1].headings == headings and not found[-1].answer:
            found[-1] = Step(headings, found[-1].command, body)
    return found


def shell_commands(text: str) -> list[str]:
    """Return the commands of a shell script without blank lines and comments between them."""
    found: list[str] = []
    command = ""
    for line in text.splitlines():
        if command or (line.strip() and not line.lstrip().startswith("#")):
            command += f"{line}\n"
            if _is_whole(command):
                found.append(command.removesuffix("\n"))
                command = ""
    return [*found, command.removesuffix("\n")] if command else found


def _is_whole(command: str) -> bool:
    """Tell whether a command ends with its last line: no line is continued, no document and no quotation is open."""
    *before, last = command.splitlines()
    if document := _HERE_DOCUMENT.search(command):
        return bool(before) and last == document[1]
    try:
        shlex.split(command, comments=True)
    except ValueError:
        return False
    return not last.endswith("\\")


def _blocks(text: str) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """Yield the headings, the language and the content of each fenced block."""
    headings: list[str] = []
    lines = iter(text.splitlines())
    for line in lines:
        if heading := _HEADING.match(line):
            headings[len(heading[1]) - 1 :] = [heading[2]]
        elif fence := _FENCE.match(line):
            yield tuple(headings), fence[1], "".join(f"{inner}\n" for inner in iter(lambda: next(lines, "```"), "```"))


def disagreement(answer: str, printed: str) -> str:
    """Return the first line of an answer that is not among the lines that were printed, in this order; else nothing."""
    lines = iter(printed.splitlines())
    for expected in filter(None, map(str.strip, answer.splitlines())):
        pattern = _pattern(expected)
        if not any(pattern.fullmatch(" ".join(line.split())) for line in lines):
            return expected
    return ""


def _pattern(expected: str) -> re.Pattern[str]:
    words = (_AGE.pattern if _AGE.fullmatch(word) else _with_gaps(word) for word in expected.split())
    return re.compile(" ".join(words).replace(f" {_GAP}", f" ?{_GAP}"))


_GAP = ".*"


def _with_gaps(word: str) -> str:
    return _GAP.join(map(re.escape, word.split(ANYTHING)))
