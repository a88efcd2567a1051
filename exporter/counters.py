"""The counters file: which fields are printed, under which names, as which Prometheus types, with which help.

Pure: text in, counters out. It knows DCGM's names, and is told which of the fields can be answered. Where the
text comes from is counters_source's business.
"""

import difflib
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from exporter import fields
from exporter.errors import ConfigError, describe
from exporter.model import AskedNames


class MetricType(StrEnum):
    """What a row may say that its counter is. A label is no series; its value is on all the others."""

    GAUGE = "gauge"
    COUNTER = "counter"
    LABEL = "label"
    HISTOGRAM = "histogram"
    SUMMARY = "summary"
    UNTYPED = "untyped"


@dataclass(frozen=True, slots=True)
class Counter:
    """One row of a counters file.

    `name` is how the file spells the field, and so what is printed; `field` is its newest name in `fields`.
    Several counters may share a field.
    """

    name: str
    field: str
    field_id: int
    type: MetricType
    help: str

    @property
    def family(self) -> str:
        """Return what OpenMetrics calls it: a counter's family has no _total."""
        return self.name.removesuffix("_total") if self.type is MetricType.COUNTER else self.name

    def is_asked_for(self, names: AskedNames) -> bool:
        """Say whether a scrape of these names gets it."""
        return names is None or self.name in names or self.family in names


class Parsed(NamedTuple):
    """A counters file's counters in its own order, and what its author should know: a sentence each."""

    counters: tuple[Counter, ...]
    warnings: tuple[str, ...]


def parse_counters(text: str, source: str, answered: Collection[str]) -> Parsed:
    """Read the text of a counters file.

    Args:
        text: Rows of field, Prometheus type and help; blank lines and lines that begin with # are skipped.
        source: What to call the file in warnings and errors.
        answered: The newest names of the fields that can be answered; other rows are skipped with a warning.

    Raises:
        ConfigError: A row is broken, its field or its type is unknown, or there is no row at all, as in a
            file that is just being written.
    """
    counters: list[Counter] = []
    warnings: list[str] = []
    lines: dict[str, int] = {}  # where a name stood first
    repeated: set[str] = set()
    for row in _rows(text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n"), source):
        field, counter = _counter(row, source)
        if row.name in lines:
            if row.name not in repeated:
                repeated.add(row.name)
                warnings.append(f"{source}:{row.line}: {row.name} is repeated; line {lines[row.name]} counts")
            continue
        lines[row.name] = row.line
        if why := _why_skipped(field, answered):
            warnings.append(f"{source}:{row.line}: {row.name} is skipped: {why}")
        else:
            counters.append(counter)
    if not lines:
        raise ConfigError(f"{source}: there is no counter in it; expected rows of field, type, help")
    if all(counter.type is MetricType.LABEL for counter in counters):
        warnings.append(f"{source}: no row of it makes a series")
    return Parsed(tuple(counters), tuple(warnings))


class _Row(NamedTuple):
    line: int
    name: str
    type: str
    help: str


_BLANK = re.compile(
    r"""(?:(?:[^\S\n]|,)*                            # nothing, or the empty columns that spreadsheets write
         |[^\S\n]*\#[^\n]*                          # a comment
         |[^\S\n]*"[^\S\n]*\#(?:[^"\n]|"")*"[^\n]*  # and one that a spreadsheet has quoted
         )(?:\n|\Z)""",
    re.VERBOSE,
)
_QUOTED = r'[^\S\n]*"((?:[^"]|"")*)"[^\S\n]*'
_ROW = re.compile(
    rf"""(?:{_QUOTED}|[^\S\n]*([^\s,"][^,\n]*)),  # field
         (?:{_QUOTED}|([^,\n]*)),            # type
         (?:{_QUOTED}|((?![^\S\n]*")[^\n]*)) # help; without quotes it may hold commas
         (?:\n|\Z)""",
    re.VERBOSE,
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def _rows(text: str, source: str) -> Iterator[_Row]:
    position, line = 0, 1
    while position < len(text):
        match = _BLANK.match(text, position)
        if match is None:
            match = _ROW.match(text, position)
            if match is None:
                raise ConfigError(f"{source}:{line}: {_what_is_broken(text, position)}")
            yield _Row(line, *(_column(match, group) for group in (1, 3, 5)))
        line += text.count("\n", position, match.end())
        position = match.end()


def _column(match: re.Match[str], quoted: int) -> str:
    """Return a column's text, of the quoted group or of the plain one behind it."""
    text: str | None = match[quoted]
    return (match[quoted + 1] if text is None else text.replace('""', '"')).strip()


def _what_is_broken(text: str, position: int) -> str:
    row = text[position:].partition("\n")[0]
    columns = row.count(",") + 1
    if columns < len(("field", "type", "help")):
        return f"{describe(row)} has {columns} of the three columns field, type, help, separated by commas"
    if '"' in row:
        return f"the quotes in {describe(row)} do not enclose a whole column; write a quote within a column twice"
    return f"{describe(row)} names no field; expected field, type, help"


def _counter(row: _Row, source: str) -> tuple[fields.FieldInfo, Counter]:
    place = f"{source}:{row.line}"
    field = fields.find(row.name)
    if field is None:
        raise ConfigError(f"{place}: unknown field {describe(row.name)}{_suggestion(row.name)}")
    try:
        written_type = MetricType(row.type)
    except ValueError:
        types = ", ".join(MetricType)
        raise ConfigError(f"{place}: unknown type {describe(row.type)}; expected one of {types}") from None
    if control := _CONTROL.search(row.help):
        raise ConfigError(f"{place}: the help of {row.name} has a control character, {control[0]!r}")
    printed_type = MetricType.LABEL if field.value_type == "string" else written_type
    return field, Counter(row.name, field.name, field.id, printed_type, row.help)


_NOT_NVMLS = {
    "nscq": "it is about NVSwitches, and NVML has no such value",
    "mlx": "it is about network cards, and NVML has no such value",
    "sysmon": "it is about CPUs, and NVML has no such value",
    "imex": "it is about the IMEX service, and NVML has no such value",
    "diag": "it is a result of DCGM's diagnostics, and NVML has no such value",
    "dcgm": "DCGM makes it itself, and NVML has no such value",
}
"""By the field's source in fields.py: why the exporter can never read it."""


def _why_skipped(field: fields.FieldInfo, answered: Collection[str]) -> str | None:
    if field.name in answered and field.value_type != "binary":
        return None
    why = "it is a binary structure, not a number" if field.value_type == "binary" else _NOT_NVMLS.get(field.source)
    instead = [name for name in fields.INSTEAD.get(field.name, ()) if fields.ALIASES.get(name, name) in answered]
    return f"{why or 'it is not implemented yet'}{'; use ' if instead else ''}{' or '.join(instead)}"


_ALIKE = 0.85
"""How similar a name must be to be suggested. Nearly all begin alike, so difflib's 0.6 would match too much."""


def _suggestion(name: str) -> str:
    names = sorted(
        (*fields.RETIRED, *fields.ALIASES, *fields.FIELDS), key=str.isupper
    )  # of two, today's spelling counts
    known = {name.lower(): name for name in names}
    nearest = difflib.get_close_matches(name.lower(), known, n=1, cutoff=_ALIKE)
    return f"; did you mean {known[nearest[0]]}?" if nearest else ""
