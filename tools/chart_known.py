#!/usr/bin/env python3
"""Write what the chart has to know of the exporter, so that it refuses at rendering what the program would refuse.

Flags with their values' forms, names of fields, packaged counters files and mock profiles, from the exporter's own
tables.

python -m tools.chart_known
"""

from pathlib import Path
from typing import Any

import yaml

from exporter.cli import value_types as types
from exporter.cli.flag_table import FLAGS, Flag
from exporter.counters_source import PACKAGED
from exporter.fields import ALIASES, FIELDS
from exporter.mock import scenario_names
from exporter.mock.scenario.profile_file import profile_names
from exporter.mock.scenario.scenario_file import host_names

KNOWN = Path(__file__).parents[1] / "chart" / "files" / "known"
_NUMBER = r"[+-]?(0[xX])?[0-9a-fA-F_]+"
_FORMS = {
    types.BOOL: "1|t|T|true|True|TRUE|0|f|F|false|False|FALSE",
    types.INTERVAL: _NUMBER,
    types.WINDOW: _NUMBER,
    types.COUNT: _NUMBER,
    types.PORT: _NUMBER,
    types.DURATION: r"[+-]?[0-9.]*[0-9.a-zµμ]+",
    types.DURATION_OR_0: r"[+-]?[0-9.]*[0-9.a-zµμ]+",
    types.ADDRESS: r"[^/]*:[0-9]+",
    types.DEVICES: r"([fgi]|[gi]:[^+]+)([+].+)?",
    types.CONFIGMAP: "none|[^:]+:[^:]+",
    types.GPU_ID_TYPE: "uid|device-name",
    types.LABEL_STYLE: "classic|4[.]8[.]3|4[.]9",
    types.LOG_FORMAT: "text|json",
}
"""What values look like, as a regular expression of Go's: wide enough for all that the program takes."""


def flag(one: Flag) -> dict[str, Any]:
    """Return what the chart has to know of a flag."""
    form = _FORMS.get(one.type)
    if one.type is types.MOCK:
        form = f"{_FORMS[types.BOOL]}|{'|'.join(scenario_names())}|.*[.]ya?ml|.*/.*"
    found = {
        "variable": one.variable,
        "arity": one.type.arity.name.lower(),
        "accepts": one.type.accepts,
        "form": f"^({form})$" if form else "",
    }
    return {key: value for key, value in found.items() if value}


def known() -> dict[str, Any]:
    """Return everything, by the name of its file without the ending."""
    return {
        "flags": {name: flag(one) for one in FLAGS for name in (one.name, one.shorthand) if name},
        "fields": sorted({*FIELDS, *ALIASES}),
        "names": {
            "countersFiles": sorted(path.name for path in PACKAGED.glob("*.csv")),
            "mockHosts": list(host_names()),
            "mockProfiles": list(profile_names()),
        },
    }


def written() -> dict[Path, str]:
    """Return the text of each file."""
    head = "# Made by `make docs` from the exporter's own tables\n"
    return {KNOWN / f"{name}.yaml": head + yaml.safe_dump(one, width=120) for name, one in known().items()}


if __name__ == "__main__":
    for path, text in written().items():
        path.write_text(text, encoding="utf-8")
