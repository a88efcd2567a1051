"""Connections that were accepted and wait for their turn: who begins when, and who gives way."""

import asyncio
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from exporter.server.newcomers import MOST_WAITING, Newcomer, Newcomers


class Server:
    """Begins connections and keeps them open; `begun` are the hosts in the order in which they began."""

    def __init__(self, stack: ExitStack) -> None:
        self.begun: list[str] = []
        self.newcomers = Newcomers(lambda _, address: self.begun.append(str(address[0])), lambda: Counter(self.begun))  # type: ignore[index]
        self._stack = stack

    def client(self, host: str) -> tuple[Newcomer, socket.socket]:
        ours, theirs = (self._stack.enter_context(sock) for sock in socket.socketpair())
        theirs.settimeout(0)
        return Newcomer(ours, (host, 1)), theirs

    def come(self, *hosts: str) -> list[socket.socket]:
        """Let clients come from hosts; returns their ends."""
        clients = [self.client(host) for host in hosts]
        self.newcomers.come(newcomer for newcomer, _ in clients)
        return [theirs for _, theirs in clients]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def is_closed(client: socket.socket) -> bool:
    try:
        return client.recv(1) == b""
    except BlockingIOError:
        return False


def test_where_none_waits_a_connection_begins_at_once(stack: ExitStack) -> None:
    async def begun() -> list[str]:
        server = Server(stack)
        server.come("a")
        return list(server.begun)

    assert asyncio.run(begun()) == ["a"]


def test_a_host_without_connections_goes_before_a_crowd_that_came_earlier(stack: ExitStack) -> None:
    async def begun() -> list[str]:
        server = Server(stack)
        server.come(*["crowd"] * 20)
        server.come("scraper")
        while len(server.begun) < 21:  # noqa: ASYNC110 - the loop's turns are what is looked at
            await asyncio.sleep(0)
        return server.begun

    assert asyncio.run(begun()).index("scraper") <= 2


def test_a_host_with_connections_gets_in_though_ever_more_come_that_have_none(stack: ExitStack) -> None:
    async def begun() -> list[str]:
        server = Server(stack)
        server.come("scraper", "scraper")
        for number in range(20):
            server.come(f"{number}a", f"{number}b")
            await asyncio.sleep(0)
        return server.begun

    assert asyncio.run(begun()).count("scraper") == 2


def test_those_who_are_connected_have_their_turn_between_two_that_begin(stack: ExitStack) -> None:
    async def counts() -> list[int]:
        server = Server(stack)
        server.come(*["crowd"] * 5)
        seen = []
        for _ in range(5):
            seen.append(len(server.begun))
            await asyncio.sleep(0)
        return seen

    assert asyncio.run(counts()) == [1, 2, 3, 4, 5]


def test_of_too_many_that_wait_the_host_with_the_most_gives_up_its_oldest(stack: ExitStack) -> None:
    async def closed() -> tuple[list[bool], list[bool]]:
        server = Server(stack)
        crowd = server.come(*["crowd"] * (MOST_WAITING + 1))
        scrapers = server.come("scraper", "another")
        return [is_closed(one) for one in crowd], [is_closed(one) for one in scrapers]

    crowd, scrapers = asyncio.run(closed())
    assert scrapers == [False, False]
    assert sum(crowd) == 2
    assert not any(crowd[3:])


def test_those_who_wait_are_closed_when_the_server_stops(stack: ExitStack) -> None:
    async def closed() -> list[bool]:
        server = Server(stack)
        clients = server.come("a", "a", "b")
        server.newcomers.stop()
        await asyncio.sleep(0)
        return [is_closed(one) for one in clients[1:]]

    assert asyncio.run(closed()) == [True, True]
