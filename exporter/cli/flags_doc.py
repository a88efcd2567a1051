"""Writes docs/flags.md from the tables: `python -m exporter.cli.flags_doc > docs/flags.md`."""

import sys
from collections.abc import Iterable, Iterator

from exporter.cli.command_flags import COMMAND_FLAGS
from exporter.cli.commands import COMMANDS, print_text
from exporter.cli.config_file import KEYS
from exporter.cli.flag_table import FLAGS, Flag, Group
from exporter.cli.help import placeholder

_INTRODUCTION = """\
# Flags

Generated from the code by `python -m exporter.cli.flags_doc > docs/flags.md`; a test compares the two.

Flags, shorthands, variables and defaults are dcgm-exporter's (releases up to 4.9) but for `--mock`,
`--label-style`, `--busy-seconds` and `--mean-gpu-util`, which are this project's own.

- **Order.** A flag counts before its variable, that before the configuration file, that before the default.
- **Syntax** is Go's: one dash or two, `--name=value` or `--name value`. A switch is `--name` or `--name=false`,
  never `--name false`; its values are 1, t, T, true, True, TRUE, 0, f, F, false, False and FALSE. `--mock` may
  stand alone. A plain argument behind a flag, at which dcgm-exporter silently stops reading flags, is an error.
- **Lists** are separated by commas; a flag may be repeated, and the lists are joined. Of other flags the last
  counts.
- **Durations** are Go's: `500ms`, `10s`, `1m30s`.
- **Files** are regular files of UTF-8 text of at most 1 MiB (recordings: 32 MiB). In YAML and JSON no key stands twice;
  YAML has at most 50 levels and 50000 values, each alias counted as all that it stands for.
- **An empty variable** is an unset one. Three variables have no flag: `NODE_NAME` is the value of the host name's label
  and the node whose pods are asked for; `POD_NAMESPACE` and `POD_NAME` say which pod kubelet must list.
- **A variable that begins with `DCGM_EXPORTER_`** and is none of these is warned of, with the nearest one; those that
  Kubernetes gives to pods beside a Service `dcgm-exporter` are not.
- **A wrong value** ends the program with exit code 2 and one sentence, also where dcgm-exporter would go on with
  the default (durations) or with what it does not know (`--kubernetes-gpu-id-type`). The sentence names the setting.
- **A flag that needs another one**, such as those of pod labels without `-k`, is warned of.
- **What is not built yet** is read and checked, and one line in the log says that it has no effect.
"""

_COMMANDS = """\
## Commands

`gpu-metrics-exporter [command] [flags]`: the command comes first. Flags, variables and the configuration file are the
same for all; what a command has beside them stands below. A command prints its answer on standard output. It ends with
exit code 0, or with 2 where a setting or a file is wrong. `doctor` has [codes of its
own](troubleshooting.md#what-doctor-prints).
"""

_CONFIG_FILE = """\
## Configuration file

`--config-file` reads dcgm-exporter's YAML file. `version` is 1 or 2; a key that the version does not have and a
second document are errors. It is read once, at the start.
"""

_CONFIG_LISTS = """\
`metrics.fields` lists counters (`name`, `prometheusType`, `help`) instead of `metrics.file`; `--collectors` and
`--configmap-data` replace it. Of `collections` (2) the one that includes `["*"]` sets `--collect-interval`; the
others, and `collection.watchGroups` (1), are checked, and a line in the log says that they have no effect yet.
"""


def flags_doc() -> str:
    """Write the page."""
    parts = [_INTRODUCTION, _COMMANDS]
    parts.append(_table(("Command", ""), ((f"`{command.name}`", command.help) for command in COMMANDS)))
    for name, flags in COMMAND_FLAGS.items():
        parts.append(f"### {name}\n")
        rows_of_command = ((f"`--{flag.name}{placeholder(flag)}`", flag.help) for flag in flags)
        parts.append(_table(("Flag", ""), rows_of_command))
    for group in Group:
        parts.append(f"## {group}\n")
        parts.append(_table(("Flag", "Default", "Variable", "", "State"), map(_row, _flags(group))))
    parts.append(_CONFIG_FILE)
    rows = ((f"`{key.path}`", ", ".join(map(str, key.versions)), f"`--{key.flag}`") for key in KEYS)
    parts.append(_table(("Key", "Version", "Flag"), rows))
    parts.append(_CONFIG_LISTS)
    return "\n".join(parts)


def _flags(group: Group) -> Iterator[Flag]:
    return (flag for flag in FLAGS if flag.group is group)


def _row(flag: Flag) -> tuple[str, ...]:
    shorthand = f"`-{flag.shorthand}` " if flag.shorthand else ""
    state = f"{flag.status.value}: {flag.note}" if flag.note else flag.status.value
    return (
        f"{shorthand}`--{flag.name}{placeholder(flag)}`",
        f"`{flag.default}`" if flag.default else "",
        f"`{flag.variable}`" if flag.variable else "",
        flag.help,
        state,
    )


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = (heads, ("---",) * len(heads), *rows)
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


if __name__ == "__main__":
    sys.exit(print_text(flags_doc().removesuffix("\n")))
