"""The command: `gpu-metrics-exporter`, `dcgm-exporter` and `python -m exporter`.

It loads little before it has taken the signals and knows how to log; everything else comes with `commands`.
"""

import os
import signal
import sys

SUCCESS = 0
OTHER_ERROR = 1
CONFIG_ERROR = 2


def main() -> int:
    """Run a command; returns the process's exit code: 0, 1 (no working NVML, for one), or 2 (a wrong setting)."""
    _take_signals()
    from exporter.cli import logs  # noqa: PLC0415

    form = logs.wanted_format(sys.argv[1:], os.environ)
    logs.configure_logging(form, debug=False)
    from exporter.cli.commands import run  # noqa: PLC0415  (what goes wrong while it is loaded is logged, too)
    from exporter.errors import ConfigError, ExporterError  # noqa: PLC0415

    try:
        return run(sys.argv[1:], os.environ)
    except ExporterError as error:
        logs.report(error, form)
        return CONFIG_ERROR if isinstance(error, ConfigError) else OTHER_ERROR


def _take_signals() -> None:
    """Take the signals that an agent takes later, from the first moment on.

    Until an agent runs there is nothing to put away, and an exception raised wherever the start happens to be would get
    lost. The others wait until an agent lets them through.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(SUCCESS))
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2})
