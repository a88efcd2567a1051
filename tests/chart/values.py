"""Values files, and keys with dots in them."""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.chart.helm import CHART

_HERE = Path(__file__).parent
MATRIX = {path.stem: path for path in sorted((_HERE / "matrix").glob("*.yaml"))}
"""Values files by what they are about; the first line of each says it in words."""


def read_values(name: str) -> dict[str, Any]:
    """Return the values of a file of the matrix."""
    values: dict[str, Any] = yaml.safe_load(MATRIX[name].read_text(encoding="utf-8"))
    return values


@cache
def chart_defaults() -> dict[str, Any]:
    """Return the chart's own values; whoever changes them takes a copy."""
    defaults: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    return defaults


def nested(key: str, value: object) -> dict[str, Any]:
    """Return values that say this alone: ("a.b", 1) is {"a": {"b": 1}}."""
    first, _, rest = key.partition(".")
    return {first: nested(rest, value) if rest else value}


def merged(*parts: Mapping[str, Any]) -> dict[str, Any]:
    """Return values as helm merges several files: the last counts, mappings are joined."""
    whole: dict[str, Any] = {}
    for part in parts:
        for key, value in part.items():
            before = whole.get(key)
            if isinstance(before, Mapping) and isinstance(value, Mapping):
                whole[key] = merged(before, value)
            else:
                whole[key] = value
    return whole


def find(values: Mapping[str, Any], key: str) -> object:
    """Return what stands under a key with dots, None where nothing does."""
    found: object = values
    for part in key.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def leaves(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each key with dots, with its value; an empty mapping is a value."""
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value
