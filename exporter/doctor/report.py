"""Findings as text of any width, colour or not, in any encoding, and as JSON."""

import json
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from exporter.doctor.finding import Examined, Mark, Subject

OK, BROKEN, UNSEEN = 0, 1, 3
"""Exit codes. 2 is that of a wrong setting, here as everywhere."""

_OF_A_NODE = {Subject.NODE, Subject.KUBELET}
_SIGNS = {Mark.HOLDS: "✓", Mark.BROKEN: "✗", Mark.UNSEEN: "?"}
_PLAIN_SIGNS = {Mark.HOLDS: "ok", Mark.BROKEN: "NO", Mark.UNSEEN: "?"}
_COLOURS = {Mark.HOLDS: "32", Mark.BROKEN: "31;1", Mark.UNSEEN: "33"}
_LEAST_WIDTH = 20
_MOST_WIDTH = 120
_NAME_WIDTH = 12


@dataclass(frozen=True, slots=True)
class Screen:
    """What text is printed on: columns, encoding, and whether it shows colours."""

    columns: int
    encoding: str
    has_colours: bool

    def can_show(self, text: str) -> bool:
        """Tell whether the encoding has all of a text's characters."""
        try:
            text.encode(self.encoding)
        except (UnicodeError, LookupError):
            return False
        return True


def screen_of(environ: Mapping[str, str], columns: int, encoding: str | None, *, is_terminal: bool) -> Screen:
    """Return the screen that an environment describes; colours by the habit of NO_COLOR and TERM=dumb."""
    wants_none = environ.get("NO_COLOR") or environ.get("TERM", "dumb") == "dumb"
    width = min(max(columns, _LEAST_WIDTH), _MOST_WIDTH) if is_terminal else _MOST_WIDTH
    return Screen(width, encoding or "ascii", is_terminal and not wants_none)


def lines(found: Examined, screen: Screen) -> Iterator[str]:
    """Yield the lines of one finding: sign, link, what was seen; below it the cure."""
    finding = found.finding
    signs = _SIGNS if screen.can_show("✓✗") else _PLAIN_SIGNS
    sign = signs[finding.mark].ljust(max(map(len, signs.values())))
    is_wide = screen.columns >= 4 * _NAME_WIDTH
    head = f"{sign} {found.link.ljust(_NAME_WIDTH) if is_wide else f'{found.link}:'} "
    indent = " " * (len(head) if is_wide else 4)
    first, *rest = _wrapped(head, finding.seen, indent, screen)
    if screen.has_colours:
        first = f"\x1b[{_COLOURS[finding.mark]}m{first[: len(sign)]}\x1b[0m{first[len(sign) :]}"
    yield first
    yield from rest
    if finding.cure:
        yield from _wrapped(f"{indent}Cure: ", finding.cure, indent, screen)


def summary(findings: Iterable[Examined], screen: Screen) -> str:
    """Return the last line: which link breaks first, because the links after it can't work."""
    found = list(findings)
    first = next((one for one in found if one.finding.mark is Mark.BROKEN), None)
    unseen = sum(one.finding.mark is Mark.UNSEEN for one in found)
    beside = f" {unseen} could not be checked from here." if unseen else ""
    if first:
        found_out = f"The first broken link is {first.link}. Begin with its cure."
    elif found and unseen == len(found):
        found_out, beside = "No link could be checked from here. Begin with the cure of api.", ""
    else:
        found_out = "No broken link was found."
    return textwrap.fill(f"{found_out}{beside}", screen.columns)


def exit_code(findings: Iterable[Examined]) -> int:
    """Return what the worst finding stands for.

    A cluster is usually looked at from outside of its nodes. No script could do anything about a node's links there, so
    they don't count if none of them was seen, and the cluster was.
    """
    marks_of: dict[bool, set[Mark]] = {True: set(), False: set()}
    for one in findings:
        marks_of[one.subject in _OF_A_NODE].add(one.finding.mark)
    is_outside = marks_of[True] == {Mark.UNSEEN} and Mark.HOLDS in marks_of[False]
    marks = marks_of[False] if is_outside else marks_of[True] | marks_of[False]
    return BROKEN if Mark.BROKEN in marks else UNSEEN if Mark.UNSEEN in marks else OK


def as_json(findings: Iterable[Examined]) -> str:
    """Return one object: the findings in order, and the first broken link, null where there is none."""
    found = list(findings)
    rows = [
        {
            "subject": one.subject,
            "link": one.link,
            "mark": one.finding.mark,
            "seen": one.finding.seen,
            "cure": one.finding.cure,
        }
        for one in found
    ]
    first = next((one.link for one in found if one.finding.mark is Mark.BROKEN), None)
    return json.dumps({"first_broken": first, "findings": rows}, indent=2)


def _wrapped(head: str, text: str, indent: str, screen: Screen) -> list[str]:
    """Wrap a text below its head, without what a terminal would take for a command or can't show."""
    shown = "".join(char if char.isprintable() else "?" for char in text)
    if not screen.can_show(shown):
        shown = shown.encode("ascii", "replace").decode()
    return textwrap.wrap(
        head + shown, screen.columns, subsequent_indent=indent, break_on_hyphens=False, drop_whitespace=True
    )
