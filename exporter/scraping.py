"""What a scraper does: fetches a page over HTTP, and reads the series on it. For commands, not for the agent."""

import base64
import http.client
import re
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from concurrent.futures import Future
from threading import Thread
from typing import Any, NamedTuple

from exporter.errors import FetchError, NotLetIn

DEADLINE_S = 5.0
"""How long one answer may take, from the first try to connect to its last byte."""

MOST_BYTES = 32 << 20
"""The largest answer that is read; 16 GPUs with every field are 2 MiB."""

_CHUNK = 1 << 16
_DENIED = frozenset({401, 403})
_HERE = frozenset({"localhost", "127.0.0.1", "::1"})
_NAME = r"[A-Za-z_:][A-Za-z0-9_:]*"
_LABEL = re.compile(r'\s*(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*=\s*"(?P<value>(?:[^"\\]|\\.)*)"\s*(?P<end>,?)', re.DOTALL)
_HEAD = re.compile(rf"(?P<name>{_NAME})\s*")
_LOGIN = re.compile(r"\A([A-Za-z]+://)?.*@", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


class ScrapedSeries(NamedTuple):
    """One series of a page."""

    name: str
    labels: Mapping[str, str]
    value: float


def fetch(url: str, deadline_s: float = DEADLINE_S) -> str:
    """Return what a URL answers. A name and a password in the URL are sent as basic authentication.

    Raises:
        FetchError: It is not an HTTP URL, or there is no answer of status 200 within the deadline.
    """
    request, shown = _request(url)
    answer: Future[str] = Future()

    def ask() -> None:
        try:
            answer.set_result(_ask(request, shown, deadline_s))
        except Exception as error:  # noqa: BLE001 - it is raised below
            answer.set_exception(error)

    Thread(target=ask, name="fetch", daemon=True).start()  # no timeout of urllib bounds names, headers, or all in all
    try:
        return answer.result(deadline_s)
    except TimeoutError:
        raise FetchError(f"{shown} did not answer in time") from None


def without_login(url: str) -> str:
    """Return a URL without its user and password, also if the URL is malformed."""
    return _LOGIN.sub(r"\1", url)


def _ask(request: urllib.request.Request, shown: str, deadline_s: float) -> str:
    no_proxy = urllib.request.ProxyHandler({})  # what is asked is in the cluster, or here
    opener = urllib.request.build_opener(no_proxy, urllib.request.HTTPSHandler(context=_trust(request.host)))
    try:
        with opener.open(request, timeout=deadline_s) as answer:
            return _read(answer, shown)
    except urllib.error.HTTPError as error:
        error.close()
        kind = NotLetIn if error.code in _DENIED else FetchError
        raise kind(f"{shown} answered {error.code} {error.reason}", error.code) from None
    except (OSError, http.client.HTTPException, ValueError) as error:  # URLError is an OSError
        raise _explained(shown, error.reason if isinstance(error, urllib.error.URLError) else error) from None


def _request(url: str) -> tuple[urllib.request.Request, str]:
    """Return a request, and the URL as it may be shown: without name and password."""
    try:
        parts = urllib.parse.urlsplit(url)
        host = parts.hostname
        _ = parts.port  # which is read here first, and may be no number
    except ValueError:
        host = None
    if not host or parts.scheme not in {"http", "https"} or not url.isascii() or url.split() != [url]:
        raise FetchError(f"{without_login(url)!r} is not a URL; expected one such as http://host:9400/metrics")
    user, at, place = parts.netloc.rpartition("@")
    shown = parts._replace(netloc=place).geturl()
    request = urllib.request.Request(shown)  # noqa: S310 - its scheme has been looked at
    if at:
        secret = base64.b64encode(urllib.parse.unquote(user).encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {secret}")
    return request, shown


def _read(answer: Any, shown: str) -> str:
    body = b""
    while chunk := answer.read1(_CHUNK):
        body += chunk
        if len(body) > MOST_BYTES:
            raise FetchError(f"{shown} answered with more than {MOST_BYTES >> 20} MiB")
    if answer.length:
        raise FetchError(f"{shown} can't be read: the response ends too early")
    return body.decode("utf-8", "replace")


def _trust(netloc: str) -> ssl.SSLContext:
    """Return whom to believe: of this machine's own servers, port-forwards too, no certificate has the right name."""
    context = ssl.create_default_context()
    if urllib.parse.urlsplit(f"//{netloc}").hostname in _HERE:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _explained(shown: str, error: object) -> FetchError:
    if isinstance(error, TimeoutError):
        return FetchError(f"{shown} did not answer in time")
    if isinstance(error, ConnectionRefusedError):
        return FetchError(f"{shown} refuses connections: nothing listens there")
    if isinstance(error, ssl.SSLError):
        return NotLetIn(
            f"{shown} can't be trusted, requires a client certificate, or does not speak TLS: {error.reason or error}"
        )
    text = " ".join(str(getattr(error, "strerror", None) or error).split())
    return FetchError(f"{shown} can't be reached: {text or type(error).__name__}")


def parse_page(text: str) -> tuple[ScrapedSeries, ...]:
    """Read a page of Prometheus' text format or OpenMetrics; lines that are no series are left out."""
    return tuple(found for line in text.split("\n") if (found := _parse_line(line)) is not None)


def _parse_line(line: str) -> ScrapedSeries | None:
    head = _HEAD.match(line)
    if head is None:
        return None
    labels: dict[str, str] = {}
    rest = line[head.end() :]
    if rest.startswith("{"):
        place = 1
        while match := _LABEL.match(rest, place):
            labels[match["name"]] = _ESCAPED.sub(lambda found: "\n" if found[1] == "n" else found[1], match["value"])
            place = match.end()
            if not match["end"]:
                break
        rest = rest[place:].lstrip()
        if not rest.startswith("}"):
            return None
        rest = rest[1:]
    try:
        return ScrapedSeries(head["name"], labels, float(rest.split()[0]))
    except (IndexError, ValueError):
        return None
