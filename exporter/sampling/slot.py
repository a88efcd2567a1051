"""When one source is read: each in its period, and what accumulates when a scrape is about to ask for it."""

import math

from exporter.catalogue.reading import COLLECTION, SLOW
from exporter.model import Reason
from exporter.sampling.pace import Pacing
from exporter.sampling.sources import Outcome, Source
from exporter.sampling.trackers.tracker import FieldValues

ASK_AGAIN_S = 600.0
"""After what time what was not supported is asked again."""

EARLY_S = 0.1
"""How long before a scrape the collection must begin that is to be on its page."""

WHOLE_PAGES: frozenset[str] = frozenset()
"""Of no fields alone: only scrapes that ask for all of them are meant."""


class Slot:
    """A source, when it is to be read again, and what it last said.

    Attributes:
        source: What is read.
        retry: When what it has given up is to be asked again; monotonic seconds.
        last: What it last said.
        read_at: When that was; monotonic seconds.
    """

    def __init__(self, source: Source, pacing: Pacing) -> None:
        self.source = source
        self.retry = math.inf
        self.last = Outcome()
        self.read_at = -math.inf
        self._pacing = pacing
        self._due = -math.inf

    def is_due(self, now: float) -> bool:
        """Say whether the source is to be read now, in good time for a scrape or because its period is over."""
        if self._due <= now or not self.source.accumulates:
            return self._due <= now
        expected = self._expected_scrape(now)
        return expected is None or expected < self._horizon(now)

    def _expected_scrape(self, now: float) -> float | None:
        """Return when the first scrape is expected that the last reading was not made for."""
        return self._pacing.scrapes.expected(self.source.fields, self._horizon(self.read_at), now)

    def _horizon(self, now: float) -> float:
        """Return before which time a scrape comes too early for the collection after this one."""
        return now + self._pacing.interval_s + EARLY_S

    def read(self, values: FieldValues, now: float, expires: float) -> None:
        """Read the source; means start after what was scraped, so that readings in between do not shorten them."""
        self.source.begin_span(self._scraped(now) if self.source.accumulates else self.source.fields)
        had_failed = self._has_failed()
        self.last = self.source.read(values, expires)
        self.read_at = now
        if self.source.has_given_up and self.retry == math.inf:
            self.retry = now + ASK_AGAIN_S
        # half an interval of tolerance, so that a tick that comes early by a little is not a tick lost
        self._due = now + self._period_s(had_failed=had_failed) - self._pacing.interval_s / 2

    def _has_failed(self) -> bool:
        return any(missing.reason is not Reason.NOT_SUPPORTED for missing in self.last.missing)

    def _scraped(self, now: float) -> frozenset[str]:
        """Return of which fields somebody has the last answers, or may have: without a rhythm each is for itself."""
        scrapes, fields = self._pacing.scrapes, self.source.fields
        if scrapes.newest(WHOLE_PAGES) > self.read_at or scrapes.expected(fields, now, now) is None:
            return fields
        return frozenset(field for field in fields if self._has_been_scraped(frozenset({field}), now))

    def _has_been_scraped(self, fields: frozenset[str], now: float) -> bool:
        scrapes = self._pacing.scrapes
        return scrapes.newest(fields) > self.read_at or scrapes.expected(fields, now, now) is None

    def _period_s(self, *, had_failed: bool) -> float:
        """Return after what time at the latest the source is read again; soon, where something has begun to fail."""
        source, has_failed = self.source, self._has_failed()
        if source.is_waiting or (source.accumulates and has_failed and not had_failed):
            return COLLECTION
        return min(source.period, SLOW) if has_failed else source.period

    def hurry(self) -> None:
        """Let the source be read at the next collection."""
        self._due = -math.inf

    def ask_again(self) -> None:
        """Let the source be asked for what it has given up, too."""
        self.source.ask_again()
        self.hurry()
