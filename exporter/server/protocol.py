"""HTTP on tornado: hands requests to the endpoints, sends their answers, keeps to the limits."""

import asyncio
import contextlib
import re
import socket
from collections.abc import Iterable
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, cast

from tornado.http1connection import HTTP1Connection, HTTP1ConnectionParameters, HTTP1ServerConnection
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    RequestStartLine,
    ResponseStartLine,
)
from tornado.iostream import IOStream, UnsatisfiableReadError

from exporter.server.accepting import Acceptor
from exporter.server.connections import Connections, Limits
from exporter.server.endpoints import Endpoints, Request, Response

_READ_CHUNK_BYTES = 8 * 1024  # tornado fills a buffer of this size with zeros for every read
_JOINED_BYTES = 16 * 1024  # up to here, head and body are copied together and sent by one write

_DRAINED_BYTES = 64 * 1024

_LONGEST_TIMEOUT_MS = 2**31 - 1
"""What the kernel takes: 24 days."""


_FOREIGN_SCHEME = re.compile(r"\A(?!https?://)[A-Za-z][A-Za-z0-9+.-]*://", re.IGNORECASE)

_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\nContent-Length: 27\r\n\r\nThe headers are too large.\n"
)


class HttpListener(HTTPServerConnectionDelegate):
    """Accepts connections and serves HTTP/1.1 on them, within the limits, on the running event loop."""

    def __init__(self, endpoints: Endpoints, limits: Limits) -> None:
        self._listening: list[tuple[socket.socket, Acceptor]] = []
        self._endpoints = endpoints
        self._limits = limits
        self._connections = Connections(limits)
        self._parameters = HTTP1ConnectionParameters(
            chunk_size=_READ_CHUNK_BYTES,
            max_header_size=limits.max_header_bytes,
            header_timeout=limits.read_timeout_s or None,
            max_body_size=limits.max_body_bytes,
            body_timeout=limits.read_timeout_s or None,
        )

    def add_sockets(self, sockets: Iterable[socket.socket]) -> None:
        """Accept connections on listening sockets."""
        for sock in sockets:
            sock.settimeout(0)  # it is accepted until the queue is empty
            self._listening.append((sock, Acceptor(sock, self._serve, self._connections.drop_idle)))

    def _serve(self, sock: socket.socket, address: object) -> None:
        """Serve a connection that was just accepted."""
        self._limit_kernel(sock)
        stream = _Stream(sock, max_buffer_size=4 * self._limits.max_header_bytes, read_chunk_size=_READ_CHUNK_BYTES)
        connection = HTTP1ServerConnection(stream, self._parameters, address)
        self._connections.opened(connection)
        connection.start_serving(self)

    def _limit_kernel(self, sock: socket.socket) -> None:
        """Bound how much of an answer the kernel holds (else some MiB), and how long after a close."""
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._limits.send_buffer_bytes)
        if sock.family in (socket.AF_INET, socket.AF_INET6):  # systemd may hand over a Unix socket
            timeout_ms = min(int(self._limits.write_timeout_s * 1000), _LONGEST_TIMEOUT_MS)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, timeout_ms)

    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> HTTPMessageDelegate:
        """Prepare for a connection's next request."""
        connection = cast("HTTP1ServerConnection", server_conn)
        cast("_Stream", connection.stream).reads_headers = True
        return _Exchange(self._endpoints, self._connections, connection, cast("HTTP1Connection", request_conn))

    def on_close(self, server_conn: object) -> None:
        """Forget a connection that has ended."""
        self._connections.closed(cast("HTTP1ServerConnection", server_conn))

    async def shut_down(self) -> None:
        """Accept no more, give answers under way a moment, then close every connection."""
        for sock, acceptor in self._listening:
            acceptor.stop()
            sock.close()
        loop = asyncio.get_running_loop()
        end = loop.time() + self._limits.shutdown_grace_s
        while self._connections.count_sending() and loop.time() < end:  # noqa: ASYNC110 - nothing tells when
            await asyncio.sleep(0.01)
        await self._connections.close_all()


class _Stream(IOStream):
    """A connection. Headers that are too large are answered before tornado closes it, as it does without a word.

    Attributes:
        reads_headers: Whether what is read now are a request's headers.
    """

    reads_headers = True

    def close(self, exc_info: Any = False) -> None:  # noqa: FBT002 - tornado's own
        """Close the connection."""
        if isinstance(exc_info, UnsatisfiableReadError) and self.reads_headers and not self.writing():
            with contextlib.suppress(OSError):
                self.socket.send(_TOO_LARGE)
                self.socket.shutdown(socket.SHUT_WR)
                self.socket.recv(_DRAINED_BYTES)  # what is unread at the close takes the answer along
        super().close(exc_info)


class _Exchange(HTTPMessageDelegate):
    """One request and its answer. A body is read, because it may be there, and ignored."""

    def __init__(
        self,
        endpoints: Endpoints,
        connections: Connections,
        connection: HTTP1ServerConnection,
        http: HTTP1Connection,
    ) -> None:
        self._endpoints = endpoints
        self._connections = connections
        self._connection = connection
        self._http = http
        self._request = Request("", "", "", "")
        self._refusal = ""

    def headers_received(self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders) -> None:
        line = cast("RequestStartLine", start_line)
        cast("_Stream", self._connection.stream).reads_headers = False
        self._refusal = _refusal(line, headers)
        accept, accept_encoding = headers.get("Accept", ""), headers.get("Accept-Encoding", "")
        self._request = Request(line.method, line.path, accept, accept_encoding)

    def finish(self) -> None:
        if self._refusal:
            answer = Response(HTTPStatus.BAD_REQUEST, f"{self._refusal}\n".encode(), headers=(("Connection", "close"),))
        else:
            answer = self._endpoints.answer(self._request, is_full=self._connections.are_scrapes_full())
        sent = self._send(answer, with_body=self._request.method != "HEAD")
        if self._refusal:
            sent.add_done_callback(lambda _: self._connection.stream.close())
        self._connections.answered(self._connection, answer.body)

    def _send(self, answer: Response, *, with_body: bool) -> "asyncio.Future[None]":
        """Send an answer. A large body is not copied, so that slow clients share their page's bytes."""
        headers = HTTPHeaders(
            {
                "Content-Type": answer.content_type,
                "Content-Length": str(len(answer.body)),
                "Date": formatdate(usegmt=True),
                **dict(answer.headers),
            }
        )
        line = ResponseStartLine("HTTP/1.1", answer.status.value, answer.status.phrase)
        joins = with_body and len(answer.body) <= _JOINED_BYTES
        sent = self._http.write_headers(line, headers, answer.body if joins else None)
        if with_body and not joins:
            sent = self._http.write(answer.body)
        self._http.finish()
        return sent


def _refusal(line: RequestStartLine, headers: HTTPHeaders) -> str:
    """Return why a request is none of HTTP/1.x, as RFC 9112 says it, empty if it is one."""
    hosts = len(headers.get_list("Host"))
    if hosts > 1 or (hosts == 0 and line.version != "HTTP/1.0"):
        return f"A request of {line.version} has one Host header."
    return "This server answers http:// and https:// only." if _FOREIGN_SCHEME.match(line.path) else ""
