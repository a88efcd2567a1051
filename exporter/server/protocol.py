"""HTTP on tornado: hands requests to the endpoints, sends their answers, keeps to the limits."""

import asyncio
import socket
from collections.abc import Iterable
from email.utils import formatdate
from typing import cast

from tornado.http1connection import HTTP1Connection, HTTP1ConnectionParameters, HTTP1ServerConnection
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    RequestStartLine,
    ResponseStartLine,
)
from tornado.iostream import IOStream
from tornado.tcpserver import TCPServer

from exporter.server.connections import Connections, Limits
from exporter.server.endpoints import Endpoints, Request, Response

_READ_CHUNK_BYTES = 8 * 1024  # tornado fills a buffer of this size with zeros for every read
_JOINED_BYTES = 16 * 1024  # up to here, head and body are copied together and sent by one write

_LONGEST_TIMEOUT_MS = 2**31 - 1
"""What the kernel takes: 24 days."""


class HttpListener(TCPServer, HTTPServerConnectionDelegate):
    """Accepts connections and serves HTTP/1.1 on them, within the limits, on the running event loop."""

    def __init__(self, endpoints: Endpoints, limits: Limits) -> None:
        super().__init__(max_buffer_size=4 * limits.max_header_bytes, read_chunk_size=_READ_CHUNK_BYTES)
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
        sockets = tuple(sockets)
        for sock in sockets:
            sock.settimeout(0)  # tornado accepts until the queue is empty
        super().add_sockets(sockets)

    def handle_stream(self, stream: IOStream, address: object) -> None:
        """Serve a connection that was just accepted."""
        self._limit_kernel(stream.socket)
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
        return _Exchange(self._endpoints, self._connections, connection, cast("HTTP1Connection", request_conn))

    def on_close(self, server_conn: object) -> None:
        """Forget a connection that has ended."""
        self._connections.closed(cast("HTTP1ServerConnection", server_conn))

    async def shut_down(self) -> None:
        """Accept no more, give answers under way a moment, then close every connection."""
        self.stop()
        loop = asyncio.get_running_loop()
        end = loop.time() + self._limits.shutdown_grace_s
        while self._connections.count_sending() and loop.time() < end:  # noqa: ASYNC110 - nothing tells when
            await asyncio.sleep(0.01)
        await self._connections.close_all()


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

    def headers_received(self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders) -> None:
        line = cast("RequestStartLine", start_line)
        accept, accept_encoding = headers.get("Accept", ""), headers.get("Accept-Encoding", "")
        self._request = Request(line.method, line.path, accept, accept_encoding)

    def finish(self) -> None:
        answer = self._endpoints.answer(self._request, is_full=self._connections.are_scrapes_full())
        self._send(answer, with_body=self._request.method != "HEAD")
        self._connections.answered(self._connection, answer.body)

    def _send(self, answer: Response, *, with_body: bool) -> None:
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
        self._http.write_headers(line, headers, answer.body if joins else None)
        if with_body and not joins:
            self._http.write(answer.body)
        self._http.finish()
