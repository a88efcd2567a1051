#!/usr/bin/env python3
"""Refuses odd phrases that once stood in these texts, and says what to write instead: `make lint` runs it."""

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEXTS = (
    "*.md",
    "Makefile",
    "chart/values*",
    "chart/templates/NOTES.txt",
    "chart/files/*",
    "exporter/*.py",
    "podresources/*.py",
)

PHRASES: Mapping[str, str] = {
    r"\bstands? (?:twice|beside|behind|below)\b": "is repeated; is next to, after or below",
    r"\b(?:answers?|exists?) no (?:more|longer)\b": "is not responding; no longer exists",
    r"\bany more\b": "no longer",
    r"\banew\b": "again, or a verb: restart, reload, rewrite",
    r"\bnot built yet\b": "not implemented yet",
    r"\b(?:has|have) to be\b": "must be",
    r"\bwhere (?:none|nobody|neither|empty|it is missing)\b": "if no; if it is missing; by default",
    r"\bof the moment\b": "current",
    r"(?<![.\w])mend(?:s|ed|ing)?\b(?!\()": "fix",
    r"\bwaits for nothing\b": "never blocks",
    r"\bwarned of\b": "causes a warning",
    r"\bis no (?:regular|file|list|number|text|URL)\b": "is not a",
    r"\bone (?:thread|worker|table|module|entry|row|instance|event set) an? \w+": "one per",
}


def odd_phrases(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield each odd phrase of a text: the number of its line, the phrase, and what to write instead."""
    for number, line in enumerate(text.splitlines(), 1):
        for pattern, instead in PHRASES.items():
            if found := re.search(pattern, line):
                yield number, found[0], instead


def main() -> int:
    """Check all texts of the tree; returns the program's exit status."""
    listed = subprocess.run(["git", "ls-files", *TEXTS], cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603, S607
    found = [
        f"{name}:{number}: {phrase!r}; write: {instead}\n"
        for name in listed.stdout.splitlines()
        for number, phrase, instead in odd_phrases((ROOT / name).read_text(encoding="utf-8"))
    ]
    sys.stdout.writelines(found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
