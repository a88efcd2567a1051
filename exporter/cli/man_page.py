"""Writes the manual page from the tables of commands and flags: `python -m exporter.cli.man_page`."""

import sys
from collections.abc import Iterable, Iterator

from exporter import __version__
from exporter.cli.command_flags import COMMAND_FLAGS
from exporter.cli.commands import COMMANDS, print_text
from exporter.cli.flag_table import FLAGS, Flag, Group
from exporter.cli.help import placeholder, sentences

_HEAD = f"""\
.TH GPU-METRICS-EXPORTER 8 "" "gpu-metrics-exporter {__version__}"
.SH NAME
gpu-metrics-exporter \\- GPU metrics for Prometheus under DCGM's names, read through NVML
.SH SYNOPSIS
.B gpu-metrics-exporter
[\\fIcommand\\fR] [\\fIflags\\fR]
.SH DESCRIPTION
Serves the metrics of this machine's NVIDIA GPUs on port 9400, with the names and labels of NVIDIA's dcgm-exporter.
A flag overrides its variable, the variable the configuration file, and the file the default.
.SH COMMANDS"""

_TAIL = """\
.SH EXIT STATUS
0: the command is done, or a signal ended it. 1: NVML, the API server or an address can't be used. 2: a setting or
a file is wrong. 3: doctor found nothing broken, but could not check everything.
.SH SIGNALS
HUP reloads the counters. USR1 releases all GPUs, USR2 takes them back.
TERM and INT end the process within two seconds."""


def man_page() -> str:
    """Write the page, as man(7) reads it."""
    lines = [_HEAD]
    for command in COMMANDS:
        lines += [".TP", f".B {command.name}", _escaped(command.help)]
    for group in Group:
        lines += [f".SH {group.value.upper()}", *_flags(flag for flag in FLAGS if flag.group is group)]
    for name, flags in COMMAND_FLAGS.items():
        lines += [f".SH FLAGS OF {name.upper()}", *_flags(flags)]
    return "\n".join((*lines, _TAIL))


def _flags(flags: Iterable[Flag]) -> Iterator[str]:
    for flag in flags:
        yield from (".TP", f"\\fB{_escaped(_spelling(flag))}\\fR", _escaped(" ".join(sentences(flag))))
        if flag.variable:
            yield f".br\nVariable: {flag.variable}"
        if flag.default:
            yield f".br\nDefault: {_escaped(flag.default)}"


def _spelling(flag: Flag) -> str:
    shorthand = f"-{flag.shorthand}, " if flag.shorthand else ""
    return f"{shorthand}--{flag.name}{placeholder(flag)}"


def _escaped(text: str) -> str:
    """Return a text of which nothing is a request of roff."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{text}" if text.startswith((".", "'")) else text


if __name__ == "__main__":
    sys.exit(print_text(man_page()))
