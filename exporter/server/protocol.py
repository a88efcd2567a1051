"""HTTP on tornado: accepts connections, with TLS or without, and keeps clients to the limits."""

import asyncio
import socket
from collections.abc import Callable, Iterable
from typing import cast

from tornado.http1connection import HTTP1Connection, HTTP1ConnectionParameters, HTTP1ServerConnection
from tornado.httputil import HTTPConnection, HTTPMessageDelegate, HTTPServerConnectionDelegate

from exporter.server.accepting import Acceptor
from exporter.server.admission import Admission
from exporter.server.connections import Connections, Limits
from exporter.server.endpoints import Endpoints
from exporter.server.exchange import Exchange, Serving
from exporter.server.newcomers import Newcomers
from exporter.server.streams import Stream, TlsStream
from exporter.server.web_config.document import WebConfig

_READ_CHUNK_BYTES = 8 * 1024  # tornado fills a buffer of this size with zeros for every read

_LONGEST_TIMEOUT_MS = 2**31 - 1
"""The longest that the kernel accepts: 24 days."""


class HttpListener(HTTPServerConnectionDelegate):
    """Accepts connections and serves HTTP/1.1 on them, within the limits, on the running event loop."""

    def __init__(self, endpoints: Endpoints, limits: Limits, web: Callable[[], WebConfig]) -> None:
        self._listening: list[tuple[socket.socket, Acceptor]] = []
        self._limits = limits
        self._web = web
        self._connections = Connections(limits)
        self._newcomers = Newcomers(self._serve, self._connections.by_host)
        self._serving = Serving(endpoints, Admission(web), self._connections)
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
            self._listening.append((sock, Acceptor(sock, self._newcomers.come, self._connections.drop_idle)))

    def _serve(self, sock: socket.socket, address: object) -> None:
        """Serve a connection whose turn it is."""
        self._limit_kernel(sock)
        stream = self._stream(sock)
        if stream is not None:
            connection = HTTP1ServerConnection(stream, self._parameters, address)
            self._connections.opened(connection)
            connection.start_serving(self)

    def _stream(self, sock: socket.socket) -> Stream | None:
        """Return a connection's stream; None where the client has gone before TLS could begin.

        A TLS handshake is done as bytes come, within the time of the first request's headers.
        """
        buffers = {"max_buffer_size": 4 * self._limits.max_header_bytes, "read_chunk_size": _READ_CHUNK_BYTES}
        context = self._web().tls
        if context is None:
            return Stream(sock, **buffers)
        try:
            secure = context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        except OSError:
            sock.close()
            return None
        return TlsStream(secure, ssl_options=context, **buffers)

    def _limit_kernel(self, sock: socket.socket) -> None:
        """Bound how much of an answer the kernel holds (else some MiB), and how long after a close."""
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._limits.send_buffer_bytes)
        if sock.family in (socket.AF_INET, socket.AF_INET6):  # systemd may hand over a Unix socket
            timeout_ms = min(int(self._limits.write_timeout_s * 1000), _LONGEST_TIMEOUT_MS)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, timeout_ms)

    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> HTTPMessageDelegate:
        """Prepare for a connection's next request."""
        connection = cast("HTTP1ServerConnection", server_conn)
        return Exchange(self._serving, connection, cast("HTTP1Connection", request_conn))

    def on_close(self, server_conn: object) -> None:
        """Forget a connection that has ended."""
        self._connections.closed(cast("HTTP1ServerConnection", server_conn))

    async def shut_down(self) -> None:
        """Stop accepting, give responses under way a moment, then close every connection."""
        for sock, acceptor in self._listening:
            acceptor.stop()
            sock.close()
        self._newcomers.stop()
        loop = asyncio.get_running_loop()
        end = loop.time() + self._limits.shutdown_grace_s
        while self._connections.count_sending() and loop.time() < end:  # noqa: ASYNC110 - nothing tells when
            await asyncio.sleep(0.01)
        await self._connections.close_all()
