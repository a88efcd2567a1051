"""Pages: the whole exposition as bytes, rendered and compressed once for however many scrapes.

Used by one thread, the server's.
"""

import gzip
from collections.abc import Callable
from dataclasses import dataclass, field

from exporter.counters import Counter, MetricType
from exporter.exposition import Format, Rendering, render
from exporter.labels import LabelCache
from exporter.model import AskedNames, Attribution, Clock, GpuState, Page
from exporter.telemetry import Telemetry

KEPT_PAGES = 4
"""The whole page, and those of the names that monitors ask for again and again."""

LONGEST_LIFE_S = 1.0
"""Own metrics on a page are never older than this, even when no snapshot changes."""


@dataclass(frozen=True, slots=True)
class Content:
    """What a page is made of; each callable answers at once with something immutable."""

    states: Callable[[], tuple[GpuState, ...]]
    attribution: Callable[[], Attribution]
    counters: Callable[[], tuple[Counter, ...]]


@dataclass(slots=True)
class _Rendered:
    """What pages in every format are made of, until when, and those that have been asked for."""

    rendering: Rendering
    made_of: tuple[object, ...]
    expires: float
    pages: dict[Format, Page] = field(default_factory=dict)


class Pages:
    """The newest page in each format."""

    def __init__(self, content: Content, telemetry: Telemetry, cache: LabelCache, clock: Clock) -> None:
        self._content = content
        self._telemetry = telemetry
        self._cache = cache
        self._clock = clock
        self._rendered: dict[AskedNames, _Rendered] = {}

    def page(self, form: Format, names: AskedNames = None) -> Page:
        """Return a page without any sample that has expired; the same one as long as nothing has changed.

        Of named series it has those that there are, and nothing else, not even a header.
        """
        rendered = self._current(names)
        page = rendered.pages.get(form)
        if page is None:
            own = self._telemetry.text(form, self._names_of_own(names))
            text = (rendered.rendering.text(form) + own).encode("utf-8", "replace")
            page = Page(text, gzip.compress(text, compresslevel=1, mtime=0), rendered.expires)
            rendered.pages[form] = page
        return page

    def _names_of_own(self, names: AskedNames) -> AskedNames:
        """Return the names that no counter has: telemetry is not asked for nothing, each second scrape."""
        if names is None:
            return None
        return names.difference(*((counter.name, counter.family) for counter in self._content.counters()))

    def _current(self, names: AskedNames) -> _Rendered:
        content = self._content
        made_of = states, attribution, counters = content.states(), content.attribution(), content.counters()
        now = self._clock.monotonic()
        known = self._rendered.pop(names, None)
        if known is not None and now < known.expires and known.made_of == made_of:
            return self._keep(names, known)
        snapshots = [state.snapshot for state in states if state.snapshot is not None]
        asked = [c for c in counters if c.type is MetricType.LABEL or c.is_asked_for(names)]
        rendering = render(snapshots, attribution, asked, self._cache, now)
        return self._keep(names, _Rendered(rendering, made_of, min(rendering.expires, now + LONGEST_LIFE_S)))

    def _keep(self, names: AskedNames, rendered: _Rendered) -> _Rendered:
        """Keep what was asked for, and drop what has not been asked for the longest."""
        self._rendered[names] = rendered
        if len(self._rendered) > KEPT_PAGES:
            del self._rendered[next(iter(self._rendered))]
        return rendered
