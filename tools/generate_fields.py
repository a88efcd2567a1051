#!/usr/bin/env python3
"""Print exporter/fields.py, made from the tables of DCGM's field names in this folder.

    python tools/generate_fields.py > exporter/fields.py

It imports nothing of the exporter, so that it also runs when exporter/fields.py is missing or broken.
"""

import csv
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HEAD = '''"""DCGM's fields: ids, names, what they are about, types, units and sources.

Generated from the tables in tools/ by tools/generate_fields.py; change those and run it again.
"""

from collections.abc import Mapping
from typing import NamedTuple


class FieldInfo(NamedTuple):
    """What is known of one field, however it is answered.

    `name` is DCGM's newest name for `id`. `entity` is the finest thing that DCGM has the field for: gpu,
    gpu_i and gpu_ci (MIG instances), link, vgpu, none (the machine), or what NVML does not know: cpu,
    cpu_core, switch, connectx. `value_type` is int64, double, string or binary. `prometheus_type` is the
    usual one, gauge, counter or label; a counters file may say otherwise. `unit` is one of those in
    catalogue/units.py, empty for text. `source` begins with nvml where NVML has the value, and is exporter for
    what an exporter makes itself. For all others it says where DCGM has the value from: nscq (NVSwitches), mlx
    (network cards), sysmon (CPUs), imex (that service), diag (DCGM's diagnostics) or dcgm (itself).
    """

    id: int
    name: str
    entity: str
    value_type: str
    prometheus_type: str
    unit: str
    source: str


def find(name: str) -> FieldInfo | None:
    """Return the field that a name stands for, of any generation; also one that DCGM has removed."""
    newest = ALIASES.get(name, name)
    return FIELDS.get(newest) or RETIRED.get(newest)


'''

EXPORTER_MADE = (  # dcgm-exporter numbers them from 9001 in the order in which they were added
    (9001, "DCGM_EXP_XID_ERRORS_COUNT", "gauge", "count"),
    (9002, "DCGM_EXP_CLOCK_EVENTS_COUNT", "gauge", "count"),
    (9003, "DCGM_EXP_GPU_HEALTH_STATUS", "gauge", "number"),
    (9004, "DCGM_EXP_P2P_STATUS", "gauge", "number"),
    (9005, "DCGM_EXP_XID_ERRORS_TOTAL", "counter", "count"),
    (9006, "DCGM_EXP_CLOCK_EVENTS_TOTAL", "counter", "count"),
)


def read_table(path: Path) -> list[dict[str, str]]:
    """Read a table with a heading row."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@dataclass(frozen=True)
class Tables:
    """The tables of this folder: the fields, names of dcgm-exporter 1.x, all other names, and what to take instead."""

    fields: list[dict[str, str]]
    oldest: list[dict[str, str]]
    others: list[dict[str, str]]
    instead: list[dict[str, str]]


def generate(tables: Tables) -> Iterator[str]:
    """Yield the module's text, piece by piece."""
    retired = [row for row in tables.others if not row["field"]]
    yield HEAD
    yield "_ROWS: tuple[tuple[int, str, str, str, str, str, str], ...] = (\n"
    for row in tables.fields:
        prometheus_type = row["prometheus_type"].removesuffix("*")  # a star marks a guess
        texts = (row["name"], row["entity"], row["value_type"], prometheus_type, row["unit"], row["source"])
        yield f"    ({row['field_id']}, {quoted(*texts)}),\n"
    for field_id, name, prometheus_type, unit in EXPORTER_MADE:
        yield f"    ({field_id}, {quoted(name, 'gpu', 'int64', prometheus_type, unit, 'exporter')}),\n"
    yield ")\n\n_RETIRED_ROWS: tuple[tuple[int, str, str, str, str, str, str], ...] = (\n"
    for row in retired:
        texts = (row["name"], row["entity"], row["value_type"], "gauge", "number", row["source"])
        yield f"    ({row['field_id']}, {quoted(*texts)}),\n"
    yield ")\n\n"
    yield "FIELDS: Mapping[str, FieldInfo] = {row[1]: FieldInfo(*row) for row in _ROWS}\n"
    yield '"""Every field by its newest name, in the order of the ids."""\n\n'
    yield "RETIRED: Mapping[str, FieldInfo] = {row[1]: FieldInfo(*row) for row in _RETIRED_ROWS}\n"
    yield '"""Every field that DCGM has removed; another field may have its id by now."""\n\n'
    yield "ALIASES: Mapping[str, str] = {\n"
    yield from aliases(tables)
    yield "}\n"
    yield '"""Every other name that a field has or had, and its newest name."""\n\n'
    yield "INSTEAD: Mapping[str, tuple[str, ...]] = {\n"
    for name in dict.fromkeys(row["name"] for row in tables.instead):
        names = quoted(*(row["instead"] for row in tables.instead if row["name"] == name))
        yield f'    "{name}": ({names},),\n'
    yield "}\n"
    yield '"""The fields that tell what one would, which NVML does not have; by its newest name."""\n'


def aliases(tables: Tables) -> Iterator[str]:
    """Yield the lines of the other names: older ones, those of dcgm-exporter 1.x, those that were short-lived."""
    for row in tables.fields:
        if row["other_names"]:
            yield f'    "{row["other_names"]}": "{row["name"]}",\n'
    for row in (*tables.oldest, *tables.others):
        if row["field"]:
            yield f'    "{row["name"]}": "{row["field"]}",\n'


def quoted(*texts: str) -> str:
    """Write texts as Python does, separated by commas."""
    return ", ".join(f'"{text}"' for text in texts)


if __name__ == "__main__":
    folder = Path(__file__).parent
    names = ("dcgm-fields.csv", "dcgm-1.x-names.csv", "dcgm-other-names.csv", "dcgm-instead.csv")
    sys.stdout.writelines(generate(Tables(*(read_table(folder / name) for name in names))))
