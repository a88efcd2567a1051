"""The counters in force: read at start, and again when their file changes or someone asks for it."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from exporter.catalogue import ANSWERED
from exporter.counters import Counter, parse_counters
from exporter.counters_source import CountersSource
from exporter.errors import ExporterError
from exporter.model import Clock
from podresources.periodic import Periodic

log = logging.getLogger(__name__)

LOOK_S = 1.0


@dataclass(frozen=True, slots=True)
class _Read:
    counters: tuple[Counter, ...]
    success: bool
    read_at: float


class CountersInForce:
    """The newest good counters of a source, which is followed from `start` to `stop`.

    A bad file at a reload leaves them as they are.
    """

    def __init__(
        self, source: CountersSource, own: tuple[Counter, ...], on_change: Callable[[], None], clock: Clock
    ) -> None:
        """Read the source.

        Args:
            source: Where the counters come from.
            own: This exporter's own series, which no file asks for.
            on_change: Called after each good reading but this first one.
            clock: The clock.

        Raises:
            ExporterError: The source can't be read, or is wrong.
        """
        self._source = source
        self._own = own
        self._on_change = on_change
        self._clock = clock
        self._read = _Read(self._parse(), success=True, read_at=clock.time())
        self._asked = False
        self._periodic = Periodic(
            "counters", self._look, LOOK_S, "reloading the counters failed; the old ones stay in force"
        )

    def start(self) -> None:
        """Begin to follow the source; returns at once."""
        self._periodic.start()

    def stop(self) -> None:
        """End within a second, also while the source hangs."""
        self._periodic.stop()

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

    def _look(self) -> None:
        asked, self._asked = self._asked, False
        if (asked or self._source.changed()) and self._reload():
            self._on_change()

    def _reload(self) -> bool:
        try:
            self._read = _Read(self._parse(), success=True, read_at=self._clock.time())
        except ExporterError as error:
            self._read = _Read(self._read.counters, success=False, read_at=self._read.read_at)
            log.error("the counters were not reloaded, the old ones stay in force: %s", error)  # noqa: TRY400  (one sentence, no traceback)
            return False
        log.info("counters read from %s", self._source.name)
        return True

    def _parse(self) -> tuple[Counter, ...]:
        parsed = parse_counters(self._source.read(), self._source.name, ANSWERED)
        for warning in parsed.warnings:
            log.warning("%s", warning)
        return (*parsed.counters, *self._own)
