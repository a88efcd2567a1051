"""A mapping in the web configuration file: its values by kind, and errors that name file and key."""

from collections.abc import Mapping
from typing import Any, NoReturn

from exporter.errors import ConfigError, describe


class ConfigSection:
    """A mapping, the file and the keys that lead to it. A null is refused: half a file ends with one."""

    def __init__(self, path: tuple[str, ...], values: Mapping[Any, Any], keys: tuple[str, ...]) -> None:
        """Take a mapping that may have these keys.

        Raises:
            ConfigError: It has another one.
        """
        self._path = path
        self._values = values
        for key in values:
            if key not in keys:
                raise ConfigError(f"{self.place()}: unknown key {describe(key)}; expected {', '.join(keys)}")

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def section(self, key: str, keys: tuple[str, ...]) -> "ConfigSection":
        """Return the mapping at a key, an empty one if it is missing; `keys` are those that it may have."""
        return ConfigSection((*self._path, key), self.mapping(key), keys)

    def mapping(self, key: str) -> Mapping[Any, Any]:
        """Return the mapping at a key as it is, an empty one if the key is missing."""
        value = self._values.get(key, {})
        if not isinstance(value, dict):
            shown = "a string" if isinstance(value, str) else describe(value)  # which may be a name and a password
            self.refuse(key, f"is {shown}; expected a mapping")
        return value

    def text(self, key: str) -> str:
        """Return the text at a key, an empty one if it is missing."""
        value = self._values.get(key, "")
        if not isinstance(value, str):
            self.refuse(key, f"is {describe(value)}; expected a string")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """Return the list of texts at a key, an empty one if it is missing."""
        value = self._values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self.refuse(key, f"is {describe(value)}; expected a list of strings")
        return tuple(value)

    def switch(self, key: str, *, default: bool) -> bool:
        """Return the boolean at a key."""
        value = self._values.get(key, default)
        if not isinstance(value, bool):
            self.refuse(key, f"is {describe(value)}; expected true or false")
        return value

    def number(self, key: str) -> int:
        """Return the whole number at a key, 0 if it is missing."""
        value = self._values.get(key, 0)
        if not isinstance(value, int) or isinstance(value, bool):
            self.refuse(key, f"is {describe(value)}; expected a whole number")
        return value

    def text_or_number(self, key: str) -> str:
        """Return the text at a key, which a whole number is as well; an empty one if it is missing."""
        value = self._values.get(key, "")
        return str(value) if type(value) is int else self.text(key)

    def place(self, *keys: str) -> str:
        """Return what errors call this mapping, or a key in it."""
        file, *path = (*self._path, *keys)
        return f"{file}: {'.'.join(path)}" if path else file

    def refuse(self, key: str, why: str) -> NoReturn:
        """Refuse the value at a key.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(f"{self.place(key)}: {why}")
