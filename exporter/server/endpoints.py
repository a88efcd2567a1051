"""What each path answers: scrapes, health, readiness, the page for people, short refusals. Knows no sockets."""

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import parse_qs

from exporter.exposition import Format
from exporter.model import AskedNames, Page
from exporter.server.negotiation import accepts_gzip, negotiate_format

_log = logging.getLogger(__name__)

_PATHS = ("/metrics", "/health", "/ready", "/")
_TEXT = "text/plain; charset=utf-8"
_NO_SCRIPTS = (
    ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'"),
    ("Cache-Control", "no-store"),
)
"""Whatever a pod's label contains, a browser does not run it."""

_ORIGIN = re.compile(r"\Ahttps?://[^/?]*", re.IGNORECASE)  # a proxy may send the whole URL


class Health(NamedTuple):
    """Whether the exporter is healthy or ready, and the text that says why."""

    ok: bool
    text: str


@dataclass(frozen=True, slots=True)
class Handlers:
    """Where answers come from. All are called on the server's thread and must not wait for anything."""

    page: Callable[[Format, AskedNames], Page]
    health: Callable[[], Health]
    ready: Callable[[], Health]
    landing: Callable[[], bytes]


@dataclass(slots=True)
class ScrapeCounts:
    """Scrapes since the start by their result; written by the server's thread, read by any."""

    ok: int = 0
    error: int = 0
    rejected: int = 0


class Request(NamedTuple):
    """What is read of a request."""

    method: str
    target: str
    accept: str
    accept_encoding: str


class Response(NamedTuple):
    """What is sent back; `headers` come on top of Content-Type, Content-Length and Date."""

    status: HTTPStatus
    body: bytes
    content_type: str = _TEXT
    headers: tuple[tuple[str, str], ...] = ()


class Endpoints:
    """Answers requests and counts scrapes."""

    def __init__(self, sources: Handlers) -> None:
        self.counts = ScrapeCounts()
        self._sources = sources
        self._failing: set[str] = set()

    def answer(self, request: Request, *, is_full: bool) -> Response:
        """Answer one request, never raising; `is_full` refuses a scrape.

        A failure is answered with 500 and logged once until the path works again: no client fills the log.
        """
        path = _ORIGIN.sub("", request.target.partition("?")[0]) or "/"
        if path not in _PATHS:
            return short_answer(HTTPStatus.NOT_FOUND, f"Not found; this exporter serves {', '.join(_PATHS)}.")
        if request.method not in ("GET", "HEAD"):
            refusal = short_answer(HTTPStatus.METHOD_NOT_ALLOWED, f"{path} accepts only GET and HEAD.")
            return refusal._replace(headers=(("Allow", "GET, HEAD"),))
        try:
            answer = self._answer_path(path, request, is_full=is_full)
        except Exception:  # noqa: BLE001 - whatever fails, the server continues
            if path not in self._failing:
                self._failing.add(path)
                _log.exception("answering %s failed; logged once until it works again", path)
            return short_answer(HTTPStatus.INTERNAL_SERVER_ERROR, f"{path} failed; see the exporter's log.")
        self._failing.discard(path)
        return answer

    def _answer_path(self, path: str, request: Request, *, is_full: bool) -> Response:
        if path == "/metrics":
            return self._scrape(request, is_full=is_full)
        if path == "/health":
            return _status(self._sources.health())
        if path == "/ready":
            return _status(self._sources.ready())
        return Response(HTTPStatus.OK, self._sources.landing(), "text/html; charset=utf-8", _NO_SCRIPTS)

    def _scrape(self, request: Request, *, is_full: bool) -> Response:
        if is_full:
            self.counts.rejected += 1
            return short_answer(
                HTTPStatus.SERVICE_UNAVAILABLE, "Too many scrapes at once (--max-concurrent-scrapes); try again."
            )
        form = negotiate_format(request.accept)
        try:
            page = self._sources.page(form, _names(request.target.partition("?")[2]))
        except Exception:
            self.counts.error += 1
            raise
        self.counts.ok += 1
        vary = ("Vary", "Accept, Accept-Encoding")
        if accepts_gzip(request.accept_encoding):
            return Response(HTTPStatus.OK, page.gzip, form.content_type, (vary, ("Content-Encoding", "gzip")))
        return Response(HTTPStatus.OK, page.text, form.content_type, (vary,))


def _names(query: str) -> AskedNames:
    """Return the values of name[] as prometheus_client's server reads them; the headers' size bounds their number."""
    names = parse_qs(query).get("name[]")
    return None if names is None else frozenset(names)


def short_answer(status: HTTPStatus, sentence: str) -> Response:
    """Return an answer of one line of text."""
    return Response(status, f"{sentence}\n".encode())


def _status(status: Health) -> Response:
    return short_answer(HTTPStatus.OK if status.ok else HTTPStatus.SERVICE_UNAVAILABLE, status.text)
