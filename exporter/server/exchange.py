"""One request and its answer, as tornado reads the one and sends the other."""

import asyncio
import re
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import cast

from tornado.http1connection import HTTP1Connection, HTTP1ServerConnection
from tornado.httputil import HTTPHeaders, HTTPMessageDelegate, RequestStartLine, ResponseStartLine

from exporter.server.admission import Admission
from exporter.server.connections import Connections
from exporter.server.endpoints import Endpoints, Request, Response, short_answer
from exporter.server.streams import Stream
from exporter.server.web_config.passwords import Client

_JOINED_BYTES = 16 * 1024  # up to here, head and body are copied together and sent by one write
_FOREIGN_SCHEME = re.compile(r"\A(?!https?://)[A-Za-z][A-Za-z0-9+.-]*://", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Serving:
    """What all exchanges share: who answers, who may ask, and who is connected."""

    endpoints: Endpoints
    admission: Admission
    connections: Connections


class Exchange(HTTPMessageDelegate):
    """One request and its answer. A body is read, because it may be there, and ignored."""

    def __init__(self, serving: Serving, connection: HTTP1ServerConnection, http: HTTP1Connection) -> None:
        self._serving = serving
        self._connection = connection
        self._stream = cast("Stream", connection.stream)
        self._stream.reads_headers = True
        self._http = http
        self._request = Request("", "", "", "")
        self._authorization = ""
        self._mistake = ""

    def headers_received(self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders) -> None:
        """Take what matters of a request's head."""
        line = cast("RequestStartLine", start_line)
        self._stream.reads_headers = False
        self._mistake = _mistake(line, headers)
        accept, accept_encoding = headers.get("Accept", ""), headers.get("Accept-Encoding", "")
        self._request = Request(line.method, line.path, accept, accept_encoding)
        self._authorization = headers.get("Authorization", "")

    def finish(self) -> None:
        """Answer the request, which is there as a whole."""
        if self._mistake:
            answer = short_answer(HTTPStatus.BAD_REQUEST, self._mistake)
            sent = self._send(answer._replace(headers=(("Connection", "close"),)))
            sent.add_done_callback(lambda _: self._stream.close())
            return
        context = self._http.context
        address = str(context[0]) if isinstance(context, tuple) else ""  # a Unix socket has none
        client = Client(address, self._authorization, self._stream.closed)
        self._serving.admission.decide(client, self._stream.certificate, self._decided)

    def _decided(self, refusal: Response | None) -> None:
        connections = self._serving.connections
        answer = refusal or self._serving.endpoints.answer(self._request, is_full=connections.are_scrapes_full())
        self._send(answer)

    def _send(self, answer: Response) -> "asyncio.Future[None]":
        """Send an answer. A large body is not copied, so that slow clients share their page's bytes."""
        with_body = self._request.method != "HEAD"
        headers = HTTPHeaders(
            {
                "Content-Type": answer.content_type,
                "Content-Length": str(len(answer.body)),
                "Date": formatdate(usegmt=True),
                **dict(answer.headers),
                **dict(self._serving.admission.headers()),
            }
        )
        line = ResponseStartLine("HTTP/1.1", answer.status.value, answer.status.phrase)
        joins = with_body and len(answer.body) <= _JOINED_BYTES
        sent = self._http.write_headers(line, headers, answer.body if joins else None)
        if with_body and not joins:
            sent = self._http.write(answer.body)
        self._http.finish()
        self._serving.connections.answered(self._connection, answer.body)
        return sent


def _mistake(line: RequestStartLine, headers: HTTPHeaders) -> str:
    """Return why a request is none of HTTP/1.x, as RFC 9112 says it, empty if it is one."""
    hosts = len(headers.get_list("Host"))
    if hosts > 1 or (hosts == 0 and line.version != "HTTP/1.0"):
        return f"An {line.version} request needs exactly one Host header."
    return "This server accepts only http:// and https:// URLs." if _FOREIGN_SCHEME.match(line.path) else ""
