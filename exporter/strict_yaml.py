"""YAML that users write: one document, a mapping, without repeated keys, read in bounded time and memory."""

import re
from typing import Any

import yaml

from exporter.errors import ConfigError, describe

MOST_LEVELS = 50
MOST_VALUES = 50_000
"""The most values in a document; an alias counts as all values that it expands to. PyYAML reads them in 3 s."""

MOST_DIGITS = 100
"""The longest text that is read as a number or date. PyYAML takes a minute for 1 MiB of 1:59:59:..., base 60."""

_SURROGATE = re.compile(r"[\ud800-\udfff]")
"""What an escape such as "\\ud83d" stands for; no file, header or log can have it."""


class _Refusal(yaml.MarkedYAMLError):
    """It is YAML, but not of the kind that is read here."""


class _Strict(yaml.SafeLoader):
    """Refuses what YAML would silently accept, and what costs much more than its size."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._levels = 0
        self._values = 0
        self._sizes: dict[yaml.Node | None, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self._levels += 1
        self._values += 1
        if self._levels > MOST_LEVELS:
            raise self._refusal(f"more than {MOST_LEVELS} nested levels")
        before, is_alias = self._values, self.check_event(yaml.AliasEvent)
        node = super().compose_node(parent, index)
        if is_alias and node not in self._sizes:
            raise self._refusal("an alias refers to itself")
        self._values += self._sizes[node] if is_alias else 0
        if self._values > MOST_VALUES:
            raise self._refusal(f"more than {MOST_VALUES} values")
        self._sizes.setdefault(node, self._values - before)
        self._levels -= 1
        return node

    def compose_scalar_node(self, anchor: Any) -> yaml.ScalarNode:
        node: yaml.ScalarNode = super().compose_scalar_node(anchor)
        if _SURROGATE.search(node.value):
            raise _Refusal(problem="a string has half a character, a surrogate of UTF-16", problem_mark=node.start_mark)
        if len(node.value) > MOST_DIGITS and not node.tag.endswith(":str"):
            raise _Refusal(problem=f"a number or a date has {len(node.value)} characters", problem_mark=node.start_mark)
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT002
        seen = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise _Refusal(problem=f"the key {key.value!r} is repeated", problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)

    def _refusal(self, problem: str) -> _Refusal:
        return _Refusal(problem=problem, problem_mark=self.get_mark())


def load_mapping(text: str, path: str) -> dict[Any, Any]:
    """Read a YAML document that is a mapping.

    Args:
        text: YAML.
        path: The file's name, for errors.

    Raises:
        ConfigError: names file, line and what is wrong.
    """
    try:
        document = yaml.load(text, _Strict)  # noqa: S506, a SafeLoader
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        what = "" if isinstance(error, _Refusal) else "this is not YAML: "
        raise ConfigError(f"{path}{line}: {what}{error.problem}") from None
    except (yaml.YAMLError, ValueError, LookupError, AttributeError) as error:  # also of !!int x, !!timestamp x
        raise ConfigError(f"{path}: this is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: is {describe(document)}; expected a mapping of keys and values")
    return document
