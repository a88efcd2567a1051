#!/usr/bin/env python3
"""Holds lines of prose in Markdown to a width: `make lint` checks it, `make format` wraps what is longer.

Tables, code and what a link leads to do not count: none of them can be broken. ruff holds Python's lines to the same.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

WIDTH = 120

ROOT = Path(__file__).parents[1]
_FENCE = re.compile(r"\s*(```|~~~)")
_LINK_TARGET = re.compile(r"\]\([^)]*\)")
_PREFIX = re.compile(r"(\s*(?:>\s+)*)((?:[-*+]|\d+\.)\s+)?")
_NO_PROSE = re.compile(r"\s*(\||#|<!--|\[[^]]+\]:|$)")
_MARK = r"(?:[-*+]|\d+[.)]|[>#|]\S*)(?!\S)"  # what begins something else where it begins a line
_WORD = re.compile(rf"(?:`[^`]*`|\S)+(?: {_MARK})*")


def is_long(line: str) -> bool:
    """Tell whether a line has too many columns and could have fewer."""
    return len(_LINK_TARGET.sub("]()", line)) > WIDTH and len(_WORD.findall(line)) > 1


def blocks(text: str) -> Iterator[tuple[int, list[str], bool]]:
    """Yield a document's parts, each with the number of its first line: a paragraph or item, or lines of another kind.

    The last of the three says whether it is prose.
    """
    part: list[str] = []
    started, is_code = 1, False
    for number, line in enumerate([*text.splitlines(), ""], 1):
        is_fence = _FENCE.match(line) is not None
        is_prose = not is_code and not is_fence and not _NO_PROSE.match(line)
        is_code ^= is_fence
        if part and (not is_prose or _begins_item(line)):
            yield started, part, True
            part = []
        if not is_prose:
            yield number, [line], not is_code and not is_fence and line.lstrip().startswith("#")
            continue
        started = started if part else number
        part.append(line)


def long_lines(text: str) -> Iterator[int]:
    """Yield the numbers of the lines of prose that are longer than they may be."""
    for started, lines, is_prose in blocks(text):
        yield from (number for number, line in enumerate(lines, started) if is_prose and is_long(line))


def wrapped(text: str) -> str:
    """Return a document of which the paragraphs and items with a line that is too long are rewrapped."""
    made: list[str] = []
    for _, lines, is_prose in blocks(text):
        is_wrapped = is_prose and not lines[0].startswith("#") and any(map(is_long, lines))
        made += _wrapped(lines) if is_wrapped else lines
    return "\n".join(made)


def _begins_item(line: str) -> bool:
    match = _PREFIX.match(line)
    return match is not None and match[2] is not None


def _wrapped(lines: list[str]) -> list[str]:
    match = _PREFIX.match(lines[0])
    quote, item = (match[1], match[2] or "") if match is not None else ("", "")
    text = " ".join([lines[0][len(quote + item) :], *(line.strip().removeprefix(quote.strip()) for line in lines[1:])])
    made = [quote + item]
    for word in _WORD.findall(text):
        joined = f"{made[-1]}{word}" if made[-1] == quote + item else f"{made[-1]} {word}"
        if len(joined) > WIDTH:
            made.append(quote + " " * len(item) + word)
        else:
            made[-1] = joined
    return made


def main(arguments: list[str]) -> int:
    """Check all Markdown of the tree, or wrap it; returns the program's exit status."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    listed = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603
    found = []
    for name in listed.stdout.splitlines():
        text = (ROOT / name).read_text(encoding="utf-8")
        if arguments == ["--wrap"]:
            text = wrapped(text)
            (ROOT / name).write_text(text, encoding="utf-8")
        found += [f"{name}:{number}: this line of prose has more than {WIDTH} columns" for number in long_lines(text)]
    sys.stdout.writelines(f"{line}\n" for line in found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
