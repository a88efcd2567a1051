"""The help page, written from the table of flags."""

import textwrap
from collections.abc import Iterable, Iterator, Mapping

from exporter.cli.command_flags import COMMAND_FLAGS
from exporter.cli.flag_table import FLAGS, Flag, Group, Status

WIDTH = 100
_INDENT = " " * 6
_INTRODUCTION = """\
usage: gpu-metrics-exporter [command] [flags]

Serves GPU metrics for Prometheus under DCGM's names, read through NVML alone.

Write a flag as --name=value or --name value, a switch as --name or --name=false; one dash works.
A flag overrides its variable, the variable the configuration file, and the file the default.
"""


def help_text(commands: Mapping[str, str]) -> str:
    """Write what --help prints, grouped, at most WIDTH characters wide; `commands` has their help by name."""
    lines = (f"  {name:8}{text}\n" for name, text in commands.items())
    groups = {str(group): [flag for flag in FLAGS if flag.group is group] for group in Group}
    of_commands = {f"Flags of {name}": flags for name, flags in COMMAND_FLAGS.items()}
    texts = (_group_text(heading, flags) for heading, flags in (groups | of_commands).items())
    return "\n".join((_INTRODUCTION, f"Commands:\n{''.join(lines)}", *texts))


def _group_text(heading: str, flags: Iterable[Flag]) -> str:
    return f"{heading}:\n" + "".join(f"{line}\n" for flag in flags for line in _flag_lines(flag))


def _flag_lines(flag: Flag) -> Iterator[str]:
    shorthand = f"-{flag.shorthand}, " if flag.shorthand else ""
    yield f"  {shorthand}--{flag.name}{placeholder(flag)}"
    yield from textwrap.wrap(" ".join(sentences(flag)), WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT)
    default = f"default {flag.default}" if flag.default not in ("", "false") else ""
    if default or flag.variable:
        yield f"{_INDENT}[{', '.join(filter(None, (flag.variable, default)))}]"


def placeholder(flag: Flag) -> str:
    """Write what follows the flag's name: "", " PATH", or "[=PATH]" where it may be left out."""
    if not flag.type.placeholder:
        return ""
    return f"[={flag.type.placeholder}]" if flag.type.bare else f" {flag.type.placeholder}"


def sentences(flag: Flag) -> Iterator[str]:
    """Yield what is to be said of a flag."""
    yield flag.help
    if flag.status is Status.LATER:
        yield f"Not implemented yet: {flag.note}."
    elif flag.status is not Status.WORKS:
        yield f"{flag.note[0].upper()}{flag.note[1:]}."
