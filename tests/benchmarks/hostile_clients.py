"""Clients that misbehave, many at once, in the clear and over TLS: what a server on an open port has to bear."""

import asyncio
import base64
import contextlib
import os
import socket
import ssl
import struct
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

RESET = struct.pack("ii", 1, 0)
DRIP_EVERY_S = 0.5
MACHINES = 20
"""From how many addresses they come."""

HELLO = bytes.fromhex("16030100c8010000c40303")
"""What a TLS ClientHello begins with."""

SMUGGLED = (
    b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\n12345",
    b"POST /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    b"POST /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    b"POST /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
    b"GET /metrics HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    b"GET /metrics HTTP/1.1\r\nHost: x\r\n X-Folded: y\r\n\r\n",
    b"GET /metrics HTTP/1.1\nHost: x\n\nGET / HTTP/1.1\nHost: x\n\n",
    b"GET ftp://x/metrics HTTP/1.1\r\nHost: x\r\nX-Nul: \0\r\n\r\n",
    b"GET /metrics HTTP/9.9\r\nHost: x\r\n\r\n",
)


@dataclass(frozen=True, slots=True)
class Target:
    """The server on 127.0.0.1, the authority of its certificate where it speaks TLS, and a login of its."""

    port: int
    login: str
    authority: Path | None = None

    def tls(self) -> ssl.SSLContext | None:
        """Return what a client needs for TLS; None in the clear."""
        return ssl.create_default_context(cafile=self.authority) if self.authority else None


def basic(login: str) -> str:
    """Return an Authorization header for name:password."""
    return "Basic " + base64.b64encode(login.encode()).decode()


@dataclass
class Hostile:
    """Ways to misbehave, each for as long as the server lets it; `attempts` counts the connections."""

    target: Target
    attempts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._tls = self.target.tls()

    @contextlib.asynccontextmanager
    async def connected(
        self, name: str, *, secure: bool = True, receive_buffer_bytes: int = 0
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """Open a connection, which is reset in the end."""
        sock = socket.socket()
        sock.settimeout(0)
        if receive_buffer_bytes:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        try:
            sock.bind((f"127.0.1.{1 + self.attempts.total() % MACHINES}", 0))
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self.target.port))
            tls = self._tls if secure else None
            host = "localhost" if tls else None
            reader, writer = await asyncio.open_connection(sock=sock, ssl=tls, server_hostname=host, limit=4096)
        except OSError:
            sock.close()
            raise
        self.attempts[name] += 1
        try:
            yield reader, writer
        finally:
            writer.transport.abort()

    def request(self, *, login: str = "", path: str = "/metrics") -> bytes:
        """Return a request that is all right."""
        authorization = f"Authorization: {basic(login or self.target.login)}\r\n"
        return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{authorization}\r\n".encode()

    async def stay_half_open(self) -> None:
        """Connect, say nothing or half a hello, and wait."""
        async with self.connected("half open", secure=False) as (reader, writer):
            if self._tls and self.attempts["half open"] % 2:
                writer.write(HELLO)
            await reader.read()

    async def read_slowly(self) -> None:
        """Ask for the page and take a little of it now and then."""
        async with self.connected("slow readers", receive_buffer_bytes=4096) as (reader, writer):
            writer.write(self.request())
            while await reader.read(1):  # noqa: ASYNC110 - the pace is the point
                await asyncio.sleep(DRIP_EVERY_S)

    async def write_slowly(self) -> None:
        """Send a header that never ends, a byte now and then."""
        async with self.connected("slow writers") as (_, writer):
            writer.write(b"GET /metrics HTTP/1.1\r\nX-Slow: ")
            while not writer.is_closing():
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(DRIP_EVERY_S)

    async def hang_up(self) -> None:
        """Ask for the page and reset the connection before or while it arrives."""
        async with self.connected("hang up") as (reader, writer):
            writer.write(self.request())
            if self.attempts["hang up"] % 2:
                await reader.read(1024)

    async def flood_headers(self) -> None:
        """Send 64 MB of headers as fast as they are taken."""
        async with self.connected("64 MB of headers") as (_, writer):
            writer.write(b"GET /metrics HTTP/1.1\r\n")
            for _ in range(1024):
                if writer.is_closing():
                    return
                writer.write(b"X-Flood: " + b"x" * 65_525 + b"\r\n")
                await writer.drain()

    async def send_garbage(self) -> None:
        """Send what is neither TLS nor HTTP."""
        async with self.connected("garbage", secure=self.attempts["garbage"] % 2 == 0) as (reader, writer):
            writer.write(os.urandom(4000) + b"\r\n\r\n")
            await reader.read()

    async def break_handshake(self) -> None:
        """Begin TLS and go on with garbage, or hang up."""
        async with self.connected("broken handshakes", secure=False) as (reader, writer):
            writer.write(HELLO + os.urandom(300 * (self.attempts["broken handshakes"] % 2)))
            writer.write_eof()
            await reader.read()

    async def smuggle(self) -> None:
        """Send a request that proxies and servers may read in two ways."""
        async with self.connected("smuggling") as (reader, writer):
            writer.write(SMUGGLED[self.attempts["smuggling"] % len(SMUGGLED)])
            await reader.read()

    async def guess(self) -> None:
        """Try a password, another one each time."""
        async with self.connected("wrong passwords") as (reader, writer):
            writer.write(self.request(login=f"alice:{self.attempts['wrong passwords']}"))
            await reader.readline()


def crowd(hostile: Hostile) -> Mapping[Callable[[], Awaitable[None]], tuple[int, float]]:
    """Return how many clients misbehave in which way, and after which pause each begins again."""
    return {
        hostile.stay_half_open: (200, 0.2),
        hostile.read_slowly: (50, 0.2),
        hostile.write_slowly: (50, 0.2),
        hostile.guess: (20, 0.2),
        hostile.hang_up: (20, 0.5),
        hostile.flood_headers: (4, 0.5),
        hostile.send_garbage: (10, 0.5),
        hostile.break_handshake: (10, 0.5),
        hostile.smuggle: (10, 0.5),
    }


async def _repeat(misbehave: Callable[[], Awaitable[None]], start_after_s: float, pause_s: float) -> None:
    """Begin again whenever the server has ended the connection."""
    await asyncio.sleep(start_after_s)
    while True:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await misbehave()
        await asyncio.sleep(pause_s)


async def harass(target: Target, seconds: float) -> Counter[str]:
    """Run all hostile clients for some seconds; returns how many connections they opened, by kind."""
    hostile = Hostile(target)
    tasks = [
        asyncio.create_task(_repeat(way, index / count, pause_s))
        for way, (count, pause_s) in crowd(hostile).items()
        for index in range(count)
    ]
    await asyncio.sleep(seconds)
    for task in tasks:
        task.cancel()
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    wrong = [end for end in ends if not isinstance(end, asyncio.CancelledError)]
    assert not wrong, wrong
    return hostile.attempts
