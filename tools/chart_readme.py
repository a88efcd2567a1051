#!/usr/bin/env python3
"""Rewrite the tables of chart/README.md: values, the lists' keys, and what can be scaled on.

Values and their comments are those of values.yaml; the keys of lists are described in values.schema.json.

python tools/chart_readme.py
"""

import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import yaml

CHART = Path(__file__).parents[1] / "chart"
README = CHART / "README.md"
_SECTION = re.compile(r"# ---- (.*) ----$")


class Row(NamedTuple):
    """One key of values.yaml; a group of keys has no default of its own."""

    line: int
    key: str
    default: str
    comment: str


def rows(text: str) -> Iterator[Row]:
    """Yield each key of a values file in its order, and each group of keys that has a comment."""
    root = yaml.compose(text, yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode):
        raise TypeError("a values file is a mapping")
    yield from _rows_of(root, text.splitlines(), "")


def _rows_of(mapping: yaml.MappingNode, lines: list[str], above: str) -> Iterator[Row]:
    for name, value in mapping.value:
        key, line = f"{above}{name.value}", name.start_mark.line
        comment = " ".join(_comment_above(line, lines))
        if isinstance(value, yaml.MappingNode) and value.value:
            if comment:
                yield Row(line, f"{key}", "", comment)
            yield from _rows_of(value, lines, f"{key}.")
        else:
            yield Row(line, key, _in_short(value), comment)


def _comment_above(line: int, lines: list[str]) -> list[str]:
    found: list[str] = []
    for above in reversed(lines[:line]):
        text = above.strip()
        if not text.startswith("#") or _SECTION.match(text):
            break
        found.insert(0, text.lstrip("# "))
    return found


def _in_short(node: yaml.Node) -> str:
    value = yaml.safe_load(yaml.serialize(node))
    if value is None:
        return ""
    return value if isinstance(value, str) and value else json.dumps(value)


def sections(text: str) -> Iterator[tuple[int, str]]:
    """Yield the headings of a values file with their lines."""
    for number, line in enumerate(text.splitlines()):
        if found := _SECTION.match(line):
            yield number, found[1]


def values_table() -> str:
    """Return a heading and a table for each section of values.yaml."""
    text = (CHART / "values.yaml").read_text(encoding="utf-8")
    headings = list(sections(text))
    ends = [line for line, _ in headings[1:]] + [len(text)]
    parts = []
    for (begin, heading), end in zip(headings, ends, strict=True):
        own = [row for row in rows(text) if begin < row.line < end]
        parts.append(f"### {heading}\n{_table(('Key', 'Default', 'What it does'), map(_cells, own))}")
    return "\n\n".join(parts)


def _cells(row: Row) -> tuple[str, str, str]:
    return f"`{row.key}`", f"`{row.default}`" if row.default else "", row.comment


def entry_table(key: str) -> str:
    """Return the keys of the entries of a list, from the descriptions in values.schema.json."""
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    return _table(("Key", "What it does"), _described(schema["properties"][key]["items"], ""))


def _described(schema: dict[str, Any], above: str) -> Iterator[tuple[str, str]]:
    for name, part in schema["properties"].items():
        if "description" in part:
            yield f"`{above}{name}`", part["description"]
        if "items" in part:
            yield from _described(part["items"], f"{above}{name}[].")
        elif "properties" in part:
            yield from _described(part, f"{above}{name}.")


def gpu_metrics_table() -> str:
    """Return the GPU metrics as a table."""
    metrics = yaml.safe_load((CHART / "files/metrics/gpu.yaml").read_text(encoding="utf-8"))
    cells = ((f"`{one['metric']}`", one["help"], _threshold(one)) for one in metrics)
    return _table(("Metric", "What it is", "Default threshold"), cells)


def serving_metrics_table() -> str:
    """Return the model servers' metrics as a table: which runtime has which."""
    metrics = yaml.safe_load((CHART / "files/metrics/serving.yaml").read_text(encoding="utf-8"))
    presets = {
        path.stem: yaml.safe_load(path.read_text(encoding="utf-8"))
        for path in sorted((CHART / "files/presets").glob("*.yaml"))
    }
    cells = (
        (
            f"`{one['metric']}`",
            one["help"],
            *(_signal(preset["signals"].get(one["metric"])) for preset in presets.values()),
        )
        for one in metrics
    )
    return _table(("Metric", "What it is", *(f"`{name}`" for name in presets)), cells)


def _signal(signal: dict[str, object] | None) -> str:
    if signal is None:
        return ""
    return _threshold(signal) or "yes"


def _threshold(one: dict[str, object]) -> str:
    return str(one.get("threshold", ""))


def _table(head: tuple[str, ...], lines: Iterator[tuple[str, ...]]) -> str:
    ruled = (head, ("---",) * len(head), *lines)
    return "\n".join(f"| {' | '.join(map(_escaped, cells))} |" for cells in ruled)


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|")


TABLES: dict[str, Callable[[], str]] = {
    "values": values_table,
    "keys of autoscaling": partial(entry_table, "autoscaling"),
    "keys of servingMonitors": partial(entry_table, "servingMonitors"),
    "gpu metrics": gpu_metrics_table,
    "serving metrics": serving_metrics_table,
}


def filled(readme: str) -> str:
    """Return a README in which what stands between the marks of each table is that table."""
    for name, table in TABLES.items():
        begin, end = f"<!-- {name}: made by `make docs` -->\n", f"<!-- end of {name} -->"
        if begin not in readme or end not in readme:
            raise ValueError(f"the README has no marks for the table of {name}")
        head, rest = readme.split(begin)
        readme = f"{head}{begin}{table()}\n{end}{rest.split(end)[1]}"
    return readme


if __name__ == "__main__":
    README.write_text(filled(README.read_text(encoding="utf-8")), encoding="utf-8")
