"""The commands of the program, as one table, and what runs them.

The command's name comes first; without one the program serves. Flags, variables and the configuration file are the
same for all commands.
"""

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from exporter import __version__
from exporter.cli.command_flags import COMMAND_FLAGS
from exporter.cli.flags import Serve, Show, parse
from exporter.cli.go_flags import suggestion
from exporter.cli.help import help_text
from exporter.cli.logs import configure_logging
from exporter.cli.process_one import flags_of_process_one
from exporter.errors import ConfigError, ExporterError, KubeError, MissingExtra

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Subcommand:
    """One command; `run` returns the exit code."""

    name: str
    help: str
    run: Callable[[Serve, Mapping[str, str]], int]


def run(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run the command of a command line; returns the exit code.

    Raises:
        ExporterError: A setting, a file or the address can't be used.
    """
    command, flags = _command(arguments)
    if command is not SERVE:
        _give_signals_back()
    if command in (DOCTOR, TOP):
        flags = (*flags_of_process_one(), *flags)
    asked = parse(flags, environ, socket.gethostname(), COMMAND_FLAGS.get(command.name, ()))
    if isinstance(asked, Serve):
        configure_logging(asked.settings.log_format, debug=asked.settings.debug)
        return command.run(asked, environ)
    commands = {command.name: command.help for command in COMMANDS}
    return print_text(help_text(commands) if asked is Show.HELP else f"gpu-metrics-exporter {__version__}")


def print_text(text: str) -> int:
    """Print a command's result to standard output; returns the exit code.

    Raises:
        ExporterError: It can't be written. A reader that closes the pipe early, as head does, is not an error.
    """
    try:
        print(text, flush=True)  # noqa: T201
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more at its end
        if not isinstance(error, BrokenPipeError):
            raise ExporterError(f"can't write to standard output: {error.strerror}") from None
    return 0


def _command(arguments: Sequence[str]) -> tuple[Subcommand, Sequence[str]]:
    """Return the command and its flags; the default is to serve."""
    by_name = {command.name: command for command in COMMANDS}
    if arguments and arguments[0].startswith("-") and arguments[0].lstrip("-") in by_name:
        raise ConfigError(f"{arguments[0]} is a command, not a flag; write it without dashes")
    if not arguments or arguments[0].startswith("-"):
        return SERVE, arguments
    name, *flags = arguments
    if name not in by_name:
        raise ConfigError(f"unknown command {name!r}{suggestion(name, by_name)}; the commands are {', '.join(by_name)}")
    return by_name[name], flags


def _give_signals_back() -> None:
    """Let signals end the process as they end any short-lived program."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2})


def _serve(asked: Serve, environ: Mapping[str, str]) -> int:
    from exporter.agent.agent import Agent  # noqa: PLC0415  (--help need not load it)

    agent = Agent(asked.settings, environ)  # its first log line says whether the GPUs are real
    for notice in asked.notices:
        log.warning("%s", notice)
    return 0 if agent.run() else 1


def _check(asked: Serve, _environ: Mapping[str, str]) -> int:
    from exporter.agent.check import check  # noqa: PLC0415

    try:
        lines = list(check(asked.settings))
    except KubeError as error:  # what can't be read is an error here, whatever the cause
        raise ConfigError(str(error)) from error
    lines += [f"warning: {notice}" for notice in asked.notices]
    warnings = sum(line.startswith("warning: ") for line in lines)
    found = f"The settings are valid; warnings: {warnings}." if warnings else "The settings are valid."
    return print_text("\n".join((*lines, found)))


def _cost(asked: Serve, _environ: Mapping[str, str]) -> int:
    from exporter.agent.cost import cost_report  # noqa: PLC0415

    return print_text(cost_report(asked.settings))


def _doctor(asked: Serve, environ: Mapping[str, str]) -> int:
    from exporter.doctor.doctor import report  # noqa: PLC0415  (no other command needs its memory)

    return report(asked.settings, asked.options, environ, print_text)


def _record(asked: Serve, _environ: Mapping[str, str]) -> int:
    from exporter.agent.record import record  # noqa: PLC0415

    enough = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: enough.set())
    return print_text(record(asked.settings, asked.options["for"], Path(asked.options["out"]), enough.wait))


def _top(asked: Serve, _environ: Mapping[str, str]) -> int:
    if find_spec("rich") is None:
        raise MissingExtra("top needs the package rich, which is not installed", "top")
    from exporter.top.top import top  # noqa: PLC0415  (no other command needs it)

    return top(asked.settings, asked.options)


SERVE = Subcommand("serve", "Serve the metrics (the default).", _serve)
CHECK = Subcommand(
    "check",
    "Read all settings and files and print what they would do. Exits with 2 if one is wrong, else with 0.",
    _check,
)
COST = Subcommand("cost", "Read a GPU a few times and print what the counters file costs on this machine.", _cost)
DOCTOR = Subcommand(
    "doctor", "Check each link from GPU to autoscaler. Print which one is broken and how to fix it.", _doctor
)
RECORD = Subcommand(
    "record", "Record the GPUs' answers for a mock to replay. Identifiers are replaced. Ctrl-C ends it early.", _record
)
TOP = Subcommand("top", "Show in the terminal what each GPU does and for which pod, and keep refreshing.", _top)
COMMANDS = (SERVE, CHECK, COST, DOCTOR, RECORD, TOP)
