"""JSON that users write, without repeated keys, as for YAML."""

import json
from typing import Any


def load_json(text: str | bytes) -> Any:
    """Read JSON.

    Raises:
        ValueError: with what is wrong; also for what is nested too deeply.
    """
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except RecursionError:
        raise ValueError("too many nested levels") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} is repeated")
    return found
