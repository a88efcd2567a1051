"""Limits on clients: how many connections, for how long, and how much memory for answers they don't read."""

import asyncio
import socket
import struct
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter.server.newcomers import host_of

if TYPE_CHECKING:
    from tornado.http1connection import HTTP1ServerConnection

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing discards what is unsent


@dataclass(frozen=True, slots=True)
class Limits:
    """What clients may take.

    `read_timeout_s` bounds waiting for a request and reading it, in total, `write_timeout_s` sending an answer;
    0 means no bound. `max_concurrent_scrapes` 0 means any number. `max_unsent_bytes` bounds the answers that
    clients have not taken yet; the kernel has `send_buffer_bytes` a connection besides. `shutdown_grace_s` is for
    answers under way when the server stops.
    """

    read_timeout_s: float = 10.0
    write_timeout_s: float = 30.0
    max_concurrent_scrapes: int = 0
    max_connections: int = 256
    max_header_bytes: int = 16 * 1024
    max_body_bytes: int = 4 * 1024
    max_unsent_bytes: int = 8 * 1024 * 1024
    send_buffer_bytes: int = 64 * 1024
    shutdown_grace_s: float = 0.25


@dataclass(slots=True)
class _Sending:
    """The newest answer on a connection, and the timer that ends the connection if it stays."""

    body: bytes = b""
    deadline: asyncio.TimerHandle | None = None


class Connections:
    """All open connections, the longest without an answer first; closes those that exceed the limits."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._open: dict[HTTP1ServerConnection, _Sending] = {}

    def opened(self, connection: "HTTP1ServerConnection") -> None:
        """Take in a new connection; at the cap one that can be spared goes, so a newcomer always gets in."""
        while len(self._open) >= self._limits.max_connections:
            self._drop(next(iter(self._spare()), next(iter(self._open))))
        self._open[connection] = _Sending()

    def by_host(self) -> Counter[object]:
        """Count the connections of each host."""
        return Counter(host_of(connection.context) for connection in self._open)

    def drop_idle(self) -> None:
        """Close half of the idle connections: of one at a time, a flood would take each place."""
        idle = self._spare()
        for connection in idle[: (len(idle) + 1) // 2]:
            self._drop(connection)

    def closed(self, connection: "HTTP1ServerConnection") -> None:
        """Forget a connection."""
        sending = self._open.pop(connection, None)
        if sending is not None and sending.deadline is not None:
            sending.deadline.cancel()

    def answered(self, connection: "HTTP1ServerConnection", body: bytes) -> None:
        """Note that an answer was handed over; what the kernel did not take at once gets a deadline."""
        if connection not in self._open:
            return
        self.closed(connection)
        sending = self._open[connection] = _Sending(body)
        if not connection.stream.writing():
            return
        if self._limits.write_timeout_s > 0:
            loop = asyncio.get_running_loop()
            sending.deadline = loop.call_later(self._limits.write_timeout_s, self._expire, connection)
        self._shed(connection)

    def count_sending(self) -> int:
        """Count the answers that clients have not taken yet."""
        return len(self._sending())

    def are_scrapes_full(self) -> bool:
        """Tell whether as many answers are under way as scrapes are allowed at once."""
        allowed = self._limits.max_concurrent_scrapes
        return allowed > 0 and self.count_sending() >= allowed

    async def close_all(self) -> None:
        """Close every connection and wait until each has ended."""
        connections = tuple(self._open)
        for connection in connections:
            self._drop(connection)
        await asyncio.gather(*(connection.close() for connection in connections))

    def _spare(self) -> list["HTTP1ServerConnection"]:
        """Return the idle connections, those first that can best be spared.

        They come from the address that has the most, and the oldest of them is the first: a crowd makes room for
        others out of its own places.
        """
        crowds = self.by_host()
        idle = [connection for connection in self._open if not connection.stream.writing()]
        return sorted(idle, key=lambda connection: -crowds[host_of(connection.context)])

    def _sending(self) -> list["HTTP1ServerConnection"]:
        return [connection for connection in self._open if connection.stream.writing()]

    def _shed(self, newest: "HTTP1ServerConnection") -> None:
        """Drop those that have been reading the longest until the unsent answers fit; never those of the newest.

        Connections that are sent the same page share its bytes, so that it counts once.
        """
        sending = self._sending()
        bodies = Counter(id(self._open[connection].body) for connection in sending)
        unsent_bytes = sum({id(body): len(body) for body in (self._open[c].body for c in sending)}.values())
        for connection in sending:
            body = self._open[connection].body
            if unsent_bytes <= self._limits.max_unsent_bytes or body is self._open[newest].body:
                return
            bodies[id(body)] -= 1
            unsent_bytes -= 0 if bodies[id(body)] else len(body)
            self._drop(connection)

    def _expire(self, connection: "HTTP1ServerConnection") -> None:
        if connection.stream.writing():
            self._drop(connection)

    def _drop(self, connection: "HTTP1ServerConnection") -> None:
        """End a connection. One that does not read is reset, or the kernel would keep its answer."""
        self.closed(connection)
        stream = connection.stream
        if stream.writing():
            stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        stream.close()
