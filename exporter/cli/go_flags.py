"""The syntax of a command line as Go's flag package has it; knows no flag and no value.

One dash or two; `-name=value` or `-name value`; a switch takes a value only after an equals sign; nothing
after `--` is a flag. Where Go meets a plain argument it stops reading flags and silently ignores the rest of
the line; here that is an error.
"""

import difflib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum, auto

from exporter.errors import ConfigError


class Arity(Enum):
    """Whether a value follows a flag."""

    VALUE = auto()
    """Always: after an equals sign, or the next argument, whatever that looks like."""

    SWITCH = auto()
    """Only after an equals sign."""

    OPTIONAL = auto()
    """After an equals sign, or the next argument if that does not begin with a dash."""


def read_arguments(arguments: Sequence[str], flags: Mapping[str, Arity]) -> Iterator[tuple[str, str | None]]:
    """Split a command line into flags.

    Args:
        arguments: The arguments after the program's name.
        flags: Every name and shorthand that exists, without dashes.

    Yields:
        The name without dashes, as written, and the value, or None if there is none; in the line's order.

    Raises:
        ConfigError: for a flag that does not exist, a value that is missing, an argument that is no flag.
    """
    pending = deque(arguments)
    while pending:
        argument = pending.popleft()
        if argument == "--":
            break
        name, equals, value = _without_dashes(argument).partition("=")
        if name not in flags:
            written = argument.partition("=")[0]
            raise ConfigError(f"unknown flag {written}{suggestion(name, flags, '--')}; --help lists the flags")
        if equals:
            yield name, value
        elif flags[name] is Arity.VALUE:
            if not pending:
                raise ConfigError(f"the flag {argument} needs a value")
            yield name, pending.popleft()
        elif flags[name] is Arity.OPTIONAL and pending and not pending[0].startswith("-"):
            yield name, pending.popleft()
        else:
            yield name, None
    if pending:
        raise _no_flag(pending[0])


def suggestion(word: str, words: Iterable[str], prefix: str = "") -> str:
    """Return " (did you mean ...?)" with the word most like a misspelt one; nothing if none is like it."""
    nearest = difflib.get_close_matches(word, [known for known in words if len(known) > 1], n=1)
    return f" (did you mean {prefix}{nearest[0]}?)" if nearest else ""


def _without_dashes(argument: str) -> str:
    if len(argument) < len("-x") or argument[0] != "-":
        raise _no_flag(argument)
    name = argument[2:] if argument.startswith("--") else argument[1:]
    if name.startswith(("-", "=")):
        raise ConfigError(f"{argument!r} is not a flag: a name must follow one or two dashes")
    return name


def _no_flag(argument: str) -> ConfigError:
    return ConfigError(
        f"the argument {argument!r} belongs to no flag; give a switch its value with an equals sign,"
        " as in --kubernetes=true"
    )
