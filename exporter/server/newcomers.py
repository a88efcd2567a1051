"""New connections wait for their turn: addresses take turns, so that nobody's scrape is behind a crowd's handshakes."""

import asyncio
import socket
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

MOST_WAITING = 128
"""How many wait, each with a file descriptor; beyond that the address with the most gives up its oldest."""


class Newcomer(NamedTuple):
    """A connection that was just accepted, and the address of its other end."""

    sock: socket.socket
    address: object


class Newcomers:
    """The connections that were accepted and have not begun, by the host that they come from."""

    def __init__(
        self, begin: Callable[[socket.socket, object], None], open_by_host: Callable[[], Mapping[object, int]]
    ) -> None:
        """Make a queue; `open_by_host` counts the connections that have begun and not ended."""
        self._begin = begin
        self._open_by_host = open_by_host
        self._queues: dict[object, deque[Newcomer]] = {}
        self._turn: asyncio.Handle | None = None
        self._takes_longest = False

    def come(self, accepted: Iterable[Newcomer]) -> None:
        """Take in connections; if none waits, the first begins at once."""
        for one in accepted:
            self._queues.setdefault(host_of(one.address), deque()).append(one)
        while sum(map(len, self._queues.values())) > MOST_WAITING:
            self._take(max(self._queues, key=lambda host: len(self._queues[host]))).sock.close()
        if self._turn is None:
            self._go_on()

    def stop(self) -> None:
        """Close those that wait."""
        if self._turn is not None:
            self._turn.cancel()
        while self._queues:
            self._take(next(iter(self._queues))).sock.close()

    def _go_on(self) -> None:
        """Begin one, and go on when those who are connected have had their turn.

        It is one of the host with the fewest connections, and each second time of the host that waits the longest, or
        a flood from ever new hosts would keep out one that has a connection.
        """
        if not self._queues:
            self._turn = None
            return
        held = self._open_by_host() if len(self._queues) > 1 else {}
        self._takes_longest = not self._takes_longest
        longest = next(iter(self._queues))
        one = self._take(longest if self._takes_longest else min(self._queues, key=lambda host: held.get(host, 0)))
        self._turn = asyncio.get_running_loop().call_soon(self._go_on) if self._queues else None
        self._begin(*one)

    def _take(self, host: object) -> Newcomer:
        """Take the oldest of a host, which is the last one from now on."""
        queue = self._queues.pop(host)
        one = queue.popleft()
        if queue:
            self._queues[host] = queue
        return one


def host_of(address: object) -> object:
    """Return the host of an address; all that come by a Unix socket are one."""
    return address[0] if isinstance(address, tuple) else None
