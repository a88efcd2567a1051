"""YAML for configuration: one document, a mapping, in which no key stands twice."""

from typing import Any

import yaml

from exporter.errors import ConfigError


class _UniqueKeys(yaml.SafeLoader):
    """Refuses a mapping that has a key twice, of which YAML would silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT002
        seen = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"the key {key.value!r} stands twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def load_mapping(text: str, path: str) -> dict[Any, Any]:
    """Read a YAML document that is a mapping.

    Args:
        text: YAML.
        path: The file's name, for errors.

    Raises:
        ConfigError: names file, line and what is wrong.
    """
    try:
        document = yaml.load(text, _UniqueKeys)  # noqa: S506, a SafeLoader
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{path}{line}: {error.problem or 'this is not YAML'}") from None
    except (yaml.YAMLError, ValueError, LookupError) as error:
        raise ConfigError(f"{path}: this is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: a mapping of keys to values is expected")
    return document
