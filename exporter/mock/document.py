"""Reading a YAML document with the place of every value at hand, so that an error names file, key and reason."""

from collections.abc import Iterator, Mapping
from typing import Any

from exporter.errors import ConfigError, describe
from exporter.strict_yaml import load_mapping

UNLIMITED = float(2**63)
"""From here on an upper limit is no limit that a user needs to hear of."""


class Section:
    """A mapping of a document. Values are taken by typed methods; `finish` refuses keys that nobody asked for.

    Args:
        content: The mapping, as YAML gave it.
        file: What errors call the document.
        key: Where in the document this mapping stands, such as `gpus[1].load`; empty for the whole.
    """

    def __init__(self, content: Any, file: str, key: str = "") -> None:
        self.file = file
        self.key = key
        if not isinstance(content, Mapping):
            raise ConfigError(f"{self.place()} is {describe(content)}; expected a mapping of keys and values")
        self._content = content
        self._asked: set[Any] = set()

    def place(self, key: str | None = None) -> str:
        """Return how errors name a key of this section, or the section itself."""
        path = ".".join(part for part in (self.key, key) if part)
        return f"{self.file}: {path}:" if path else f"{self.file}:"

    def error(self, key: str, reason: str) -> ConfigError:
        """Return the error that says what is wrong with a key."""
        return ConfigError(f"{self.place(key)} {reason}")

    def has(self, key: str) -> bool:
        """Say whether a key is there and not null."""
        self._asked.add(key)
        return self._content.get(key) is not None

    def raw(self, key: str) -> Any:
        """Return a value as YAML gave it.

        Raises:
            ConfigError: The key is not there.
        """
        if not self.has(key):
            raise self.error(key, "is missing")
        return self._content[key]

    def number(self, key: str, low: float, high: float, default: float | None = None) -> float:
        """Return a number from low to high; the default, where there is one, for an absent key."""
        if default is not None and not self.has(key):
            return default
        value = self.raw(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise self.error(key, f"is {describe(value)}; expected {_range(low, high)}")
        if isinstance(value, int) and value > UNLIMITED:  # too large for a float, maybe
            raise self.error(key, f"is {describe(value)}; expected a smaller number")
        return float(value)

    def integer(self, key: str, low: int, high: int, default: int | None = None) -> int:
        """Return a whole number from low to high; the default, where there is one, for an absent key."""
        if default is not None and not self.has(key):
            return default
        value = self.raw(key)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self.error(key, f"is {describe(value)}; expected a whole number from {low} to {high}")
        return value

    def text(self, key: str, default: str | None = None) -> str:
        """Return text; the default, where there is one, for an absent key."""
        if default is not None and not self.has(key):
            return default
        value = self.raw(key)
        if not isinstance(value, str):
            raise self.error(key, f"is {describe(value)}; expected text")
        return value

    def choice(self, key: str, choices: tuple[str, ...], default: str | None = None) -> str:
        """Return text that is one of the choices."""
        value = self.text(key, default)
        if value not in choices:
            raise self.error(key, f"is {value!r}; expected one of {', '.join(choices)}")
        return value

    def flag(self, key: str, *, default: bool) -> bool:
        """Return a boolean; the default for an absent key."""
        if not self.has(key):
            return default
        value = self.raw(key)
        if not isinstance(value, bool):
            raise self.error(key, f"is {describe(value)}; expected true or false")
        return value

    def items(self, key: str) -> list[Any]:
        """Return a list as YAML gave it; empty for an absent key."""
        if not self.has(key):
            return []
        value = self.raw(key)
        if not isinstance(value, list):
            raise self.error(key, f"is {describe(value)}; expected a list")
        return value

    def section(self, key: str) -> "Section":
        """Return a mapping within this one."""
        return self.within(self.raw(key), key)

    def sections(self, key: str) -> "list[Section]":
        """Return a list of mappings; empty for an absent key."""
        return [self.within(item, f"{key}[{i}]") for i, item in enumerate(self.items(key))]

    def within(self, content: Any, key: str) -> "Section":
        """Return a value of this section, under the name that errors shall give it, as a section."""
        return Section(content, self.file, ".".join(part for part in (self.key, key) if part))

    def names(self) -> Iterator[str]:
        """Yield the keys of a mapping whose keys are names, in their order."""
        for key in self._content:
            if not isinstance(key, str):
                raise self.error(str(key), "is not text; every key must be a name")
            yield key

    def finish(self) -> None:
        """Refuse keys that nothing has asked for: a slip of the pen must not pass in silence."""
        unknown = [key for key in self._content if key not in self._asked]
        if unknown:
            known = ", ".join(sorted(self._asked))
            raise self.error(str(unknown[0]), f"is not a known key; the keys are {known}")


def _range(low: float, high: float) -> str:
    return f"a number from {low:g} to {high:g}" if high < UNLIMITED else f"a number of at least {low:g}"


def parse_document(text: str, file: str) -> Section:
    """Parse YAML whose top is a mapping.

    Raises:
        ConfigError: It is no YAML, or its top is something else.
    """
    return Section(load_mapping(text, file), file)
