#!/usr/bin/env python3
"""Print exporter/fields.py, made from the tables of DCGM's field names in this folder.

    python tools/generate_fields.py > exporter/fields.py

It imports nothing of the exporter, so that it also runs when exporter/fields.py is missing or broken.
"""

import csv
import sys
from collections.abc import Iterator
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
    catalogue/units.py, empty for text. `source` begins with nvml where NVML has the value; exporter marks what
    an exporter makes itself.
    """

    id: int
    name: str
    entity: str
    value_type: str
    prometheus_type: str
    unit: str
    source: str


def find(name: str) -> FieldInfo | None:
    """Return the field that a name of either generation, or of dcgm-exporter 1.x, stands for."""
    return FIELDS.get(ALIASES.get(name, name))


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


def generate(fields: list[dict[str, str]], old_names: list[dict[str, str]]) -> Iterator[str]:
    """Yield the module's text, piece by piece."""
    yield HEAD
    yield "_ROWS: tuple[tuple[int, str, str, str, str, str, str], ...] = (\n"
    for row in fields:
        prometheus_type = row["prometheus_type"].removesuffix("*")  # a star marks a guess
        texts = (row["name"], row["entity"], row["value_type"], prometheus_type, row["unit"], row["source"])
        yield f"    ({row['field_id']}, {quoted(*texts)}),\n"
    for field_id, name, prometheus_type, unit in EXPORTER_MADE:
        yield f"    ({field_id}, {quoted(name, 'gpu', 'int64', prometheus_type, unit, 'exporter')}),\n"
    yield ")\n\n"
    yield "FIELDS: Mapping[str, FieldInfo] = {row[1]: FieldInfo(*row) for row in _ROWS}\n"
    yield '"""Every field by its newest name, in the order of the ids."""\n\n'
    yield "ALIASES: Mapping[str, str] = {\n"
    for row in fields:
        if row["other_names"]:
            yield f'    "{row["other_names"]}": "{row["name"]}",\n'
    for row in old_names:
        yield f'    "{row["name"]}": "{row["field"]}",\n'
    yield "}\n"
    yield '"""Every other name that a field has or had, and its newest name."""\n'


def quoted(*texts: str) -> str:
    """Write texts as Python does, separated by commas."""
    return ", ".join(f'"{text}"' for text in texts)


if __name__ == "__main__":
    folder = Path(__file__).parent
    tables = (read_table(folder / "dcgm-fields.csv"), read_table(folder / "dcgm-1.x-names.csv"))
    sys.stdout.writelines(generate(*tables))
