#!/usr/bin/env python3
"""Print docs/fields.md: every field of DCGM, how it is answered here and what that costs, or why it is not.

    python tools/fields_doc.py > docs/fields.md

Made from the catalogue, DCGM's list of fields, and what was measured on H200s (h200-fields.csv, h200-costs.csv).
"""

import csv
from collections.abc import Iterator
from pathlib import Path

from exporter.catalogue import CATALOGUE
from exporter.catalogue.reading import HOURLY, LAYOUT, SLOW, UNHURRIED, Scope, Tracked, Tracker
from exporter.fields import ALIASES, FIELDS, FieldInfo
from exporter.nvml.names import names_of

TOOLS = Path(__file__).parent

HEAD = """\
# Fields
For everyone who chooses metrics or writes queries: every DCGM field that NVML provides. Put any of its names into the
[counters file](counters.md). `make docs` generates this page from the catalogue and DCGM's list of fields.

- **Of**: what a series is about. In MIG mode, a value of the GPU is on each of its instances.
- **Every**: how often it is read. Empty means in every collection. "scrape" means that it accumulates, so it is read
  when a scrape is due, and at least every minute ([true-load.md](true-load.md#when-it-is-read)). If NVML does not
  support a field, it is tried again every ten minutes.
- **Cost**: how long NVML takes on an H200 (driver 580.159.04), per link if there is one value per link. All of GPM is
  one pair of samples and one call, 1.8 ms together. All field values share one call: the first of a kind takes the
  time, the others are free.
- **H200**: whether that GPU provides it: "with NVLink" if it has links, "in a fabric" after it has joined one, "with a
  second GPU" if there is one. NVLink and paths were measured on two H200s, everything else on one, by
  `tests/device/fields_proof.py`. [h200.md](h200.md) compares the values with NVML's and nvidia-smi's, and
  [nvlink.md](nvlink.md) NVLink's with copies of a known rate.
"""
PERIODS = {UNHURRIED: "10 s", SLOW: "minute", HOURLY: "hour", LAYOUT: "once"}
ENTITIES = {
    Scope.SYSTEM: "machine",
    Scope.PROCESS: "process",
    Scope.GPU: "GPU",
    Scope.INSTANCE: "GPU, instance",
    Scope.LINK: "NVLink",
    Scope.ALL_LINKS: "GPU",
    Scope.PEER: "GPU",
}
LEFT_OUT = {
    "nscq": "about NVSwitches; not in NVML",
    "mlx": "about network cards; not in NVML",
    "sysmon": "about CPUs; not in NVML",
    "imex": "about the IMEX service, which has its own tool",
    "diag": "a result of DCGM's diagnostics",
    "dcgm": "computed by DCGM itself",
}
BINARY = "a binary structure, not a number"
VIRTUAL = "about virtual GPUs as seen by their host"


def read_pairs(name: str) -> dict[str, str]:
    """Read a table of two columns."""
    with (TOOLS / name).open(encoding="utf-8", newline="") as file:
        _, *rows = csv.reader(file)
    return dict(rows)


def left_out(field: FieldInfo, answered: set[str]) -> str | None:
    """Return why a field is not answered, None if it is."""
    if field.name in answered:
        return None
    if field.value_type == "binary":
        return BINARY
    return VIRTUAL if field.entity == "vgpu" else LEFT_OUT[field.source]


def generate() -> Iterator[str]:
    """Yield the document's lines."""
    older = {newest: name for name, newest in reversed(ALIASES.items())}
    costs, h200 = read_pairs("h200-costs.csv"), read_pairs("h200-fields.csv")
    by_name = {field.name: reading for reading in CATALOGUE for field in reading.fields if field.name in FIELDS}
    yield HEAD
    yield "| id | field | older name | unit | NVML | of | every | cost | H200 |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for field in sorted((FIELDS[name] for name in by_name), key=lambda field: field.id):
        reading = by_name[field.name]
        is_rate = isinstance(reading, Tracked) and reading.tracker is Tracker.RATES
        names = names_of(reading)[: None if is_rate else 1]
        measured = [costs[name] for name in names if name in costs]
        cells = (
            str(field.id),
            f"`{field.name}`",
            f"`{older[field.name]}`" if field.name in older else "",
            field.unit.replace("_", " ") or "text",
            " + ".join(f"`{name}`" for name in names),
            ENTITIES[reading.scope],
            "scrape" if reading.accumulates else PERIODS.get(reading.period, ""),
            f"{sum(map(float, measured)):.0f} us" if measured else "",
            h200.get(field.name, "no"),
        )
        yield f"| {' | '.join(cells)} |"
    yield "\n## Fields that are not available\n\n| id | field | why |\n|---|---|---|"
    for field in FIELDS.values():
        if why := left_out(field, set(by_name)):
            yield f"| {field.id} | `{field.name}` | {why} |"


if __name__ == "__main__":
    print("\n".join(generate()))  # noqa: T201 - it goes to docs/fields.md
