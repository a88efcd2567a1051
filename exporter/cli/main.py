"""The command: `gpu-metrics-exporter`, `dcgm-exporter` and `python -m exporter`."""

import logging
import os
import signal
import socket
import sys

from exporter import __version__
from exporter.agent.agent import Agent
from exporter.cli.flags import Serve, Show, parse
from exporter.cli.help import help_text
from exporter.cli.logs import configure_logging
from exporter.errors import ConfigError, ExporterError

log = logging.getLogger(__name__)

CONFIG_ERROR = 2
OTHER_ERROR = 1


def main() -> int:
    """Run the exporter; returns the process's exit code: 0, 1 (no working NVML), or 2 (a wrong setting)."""
    # Until the agent runs there is nothing to put away; an exception raised wherever the start happens to be gets lost.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        command = parse(sys.argv[1:], os.environ, socket.gethostname())
        if not isinstance(command, Serve):
            print(help_text() if command is Show.HELP else f"gpu-metrics-exporter {__version__}")  # noqa: T201
            return 0
        configure_logging(command.settings.log_format, debug=command.settings.debug)
        agent = Agent(command.settings, os.environ)  # its first log line says whether the GPUs are real
        for notice in command.notices:
            log.warning("%s", notice)
        return 0 if agent.run() else OTHER_ERROR
    except ExporterError as error:
        print(f"gpu-metrics-exporter: {error}", file=sys.stderr)  # noqa: T201
        return CONFIG_ERROR if isinstance(error, ConfigError) else OTHER_ERROR
