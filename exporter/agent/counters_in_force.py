"""The counters in force: read at start, and again when their file changes or someone asks for it."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from exporter.catalogue import ANSWERED
from exporter.counters import Counter, parse_counters
from exporter.counters_source import CountersSource
from exporter.errors import ExporterError
from exporter.model import Clock

log = logging.getLogger(__name__)

LOOK_S = 1.0


@dataclass(frozen=True, slots=True)
class _Read:
    counters: tuple[Counter, ...]
    success: bool
    read_at: float


class CountersInForce:
    """The newest good counters of a source. A bad file at a reload leaves them as they are."""

    def __init__(self, source: CountersSource, own: tuple[Counter, ...], clock: Clock) -> None:
        """Read the source; `own` are this exporter's own series, which no file asks for.

        Raises:
            ExporterError: The source can't be read, or is wrong.
        """
        self._source = source
        self._own = own
        self._clock = clock
        self._read = _Read(self._parse(), success=True, read_at=clock.time())
        self._asked = False

    def counters(self) -> tuple[Counter, ...]:
        """Return the counters in force, this exporter's own series included."""
        return self._read.counters

    def printed_name(self, field: str) -> str:
        """Return the name under which a field is printed first, or its own where it is not printed."""
        return next((counter.name for counter in self._read.counters if counter.field == field), field)

    def reloaded(self) -> tuple[bool, float]:
        """Return whether the newest file was good, and when the counters in force were read (Unix time)."""
        return self._read.success, self._read.read_at

    def ask(self) -> None:
        """Read the source again soon, changed or not; takes no lock, so that a signal handler may call it."""
        self._asked = True

    def watch(self, on_change: Callable[[], None]) -> None:
        """Follow the source on a thread of its own; `on_change` is called after each good reading."""
        threading.Thread(target=self._watch, args=(on_change,), name="counters", daemon=True).start()

    def _watch(self, on_change: Callable[[], None]) -> None:
        while True:
            time.sleep(LOOK_S)
            asked, self._asked = self._asked, False
            try:
                if (asked or self._source.changed()) and self._reload():
                    on_change()
            except Exception:
                log.exception("reading the counters again failed; they stay as they were")

    def _reload(self) -> bool:
        try:
            self._read = _Read(self._parse(), success=True, read_at=self._clock.time())
        except ExporterError as error:
            self._read = _Read(self._read.counters, success=False, read_at=self._read.read_at)
            log.error("the counters stay as they were: %s", error)  # noqa: TRY400  (one sentence, no traceback)
            return False
        log.info("counters read from %s", self._source.name)
        return True

    def _parse(self) -> tuple[Counter, ...]:
        parsed = parse_counters(self._source.read(), self._source.name, ANSWERED)
        for warning in parsed.warnings:
            log.warning("%s", warning)
        return (*parsed.counters, *self._own)
