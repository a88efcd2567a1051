"""Log lines: text or JSON, to standard error, also of unexpected errors."""

import json
import logging
import re
import sys
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from types import TracebackType

from exporter.settings import LogFormat

FLAG = "log-format"
VARIABLE = "DCGM_EXPORTER_LOG_FORMAT"

log = logging.getLogger(__name__)

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def wanted_format(arguments: Sequence[str], environ: Mapping[str, str]) -> LogFormat:
    """Return the format for what goes wrong before all flags are understood, or because they can't be."""
    text = environ.get(VARIABLE, "")
    for argument, following in pairwise((*arguments, "")):
        name, equals, value = argument.partition("=")
        if name in (f"-{FLAG}", f"--{FLAG}"):
            text = value if equals else following
    return LogFormat.JSON if text == LogFormat.JSON else LogFormat.TEXT


def configure_logging(form: LogFormat, *, debug: bool) -> None:
    """Send all log lines, warnings and exceptions to standard error in a format, from level INFO, or DEBUG, on."""
    handler = _StderrHandler(sys.stderr)
    handler.setFormatter(_Json() if form is LogFormat.JSON else _Text("%(asctime)s %(levelname)s %(message)s"))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.DEBUG if debug else logging.INFO)
    logging.captureWarnings(True)  # noqa: FBT003
    sys.excepthook = _log_exception
    threading.excepthook = _log_thread_exception
    sys.unraisablehook = _log_unraisable


def report(error: Exception, form: LogFormat) -> None:
    """Say in one line why the program ends."""
    sentence = str(error)
    if form is LogFormat.JSON:
        log.error("%s", sentence)
    else:
        print(f"gpu-metrics-exporter: {_on_one_line(sentence)}", file=sys.stderr)  # noqa: T201


def _on_one_line(text: str) -> str:
    """Escape control characters: a name that comes from elsewhere must not forge lines or talk to a terminal."""
    return _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)


class _StderrHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes a record whose message does not fit its arguments as it is, instead of a traceback."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        if isinstance(sys.exception(), OSError):
            return  # nothing reads standard error now, or its disk is full: work continues
        try:
            text = self.format(
                logging.makeLogRecord({**vars(record), "msg": f"{record.msg} {record.args!r}", "args": ()})
            )
            self.stream.write(text + self.terminator)
            self.flush()
        except Exception:  # noqa: BLE001, S110  (a log line must never be what ends a thread)
            pass


class _Text(logging.Formatter):
    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        record.message = _on_one_line(record.message)
        return super().formatMessage(record)

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: ARG002, N802
        return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


class _Json(_Text):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": self.formatTime(record),
            "level": record.levelname,
            "msg": record.getMessage(),
            "logger": record.name,
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line)


def _log_exception(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    log.critical("an unexpected error ends the program", exc_info=(kind, error, trace))


def _log_thread_exception(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None:
        name = args.thread.name if args.thread else "?"
        trace = (args.exc_type, args.exc_value, args.exc_traceback)
        log.critical("an unexpected error ends the thread %s", name, exc_info=trace)


def _log_unraisable(args: "sys.UnraisableHookArgs") -> None:
    error = args.exc_value
    trace = None if error is None else (args.exc_type, error, args.exc_traceback)
    log.error("%s: %r", args.err_msg or "an exception was ignored in", args.object, exc_info=trace)
