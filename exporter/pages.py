"""Pages: the whole exposition as bytes, rendered and compressed once for however many scrapes.

Used by one thread, the server's.
"""

import gzip
from collections.abc import Callable
from dataclasses import dataclass, field

from exporter.counters import Counter
from exporter.exposition import Format, Rendering, render
from exporter.labels import LabelCache
from exporter.model import Attribution, Clock, GpuState, Page
from exporter.telemetry import Telemetry

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
        self._rendered: _Rendered | None = None

    def page(self, form: Format) -> Page:
        """Return a page without any sample that has expired; the same one as long as nothing has changed."""
        rendered = self._current()
        page = rendered.pages.get(form)
        if page is None:
            text = (rendered.rendering.text(form) + self._telemetry.text(form)).encode("utf-8", "replace")
            page = Page(text, gzip.compress(text, compresslevel=1, mtime=0), rendered.expires)
            rendered.pages[form] = page
        return page

    def _current(self) -> _Rendered:
        content = self._content
        made_of = states, attribution, counters = content.states(), content.attribution(), content.counters()
        now = self._clock.monotonic()
        known = self._rendered
        if known is not None and now < known.expires and known.made_of == made_of:
            return known
        snapshots = [state.snapshot for state in states if state.snapshot is not None]
        rendering = render(snapshots, attribution, counters, self._cache, now)
        self._rendered = _Rendered(rendering, made_of, min(rendering.expires, now + LONGEST_LIFE_S))
        return self._rendered
