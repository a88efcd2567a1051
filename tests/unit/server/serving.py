"""A server on a port of its own, in a thread, and clients on real sockets for it."""

import contextlib
import gzip
import http.client
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from exporter.exposition import Format
from exporter.model import AskedNames, Page
from exporter.server.app import MetricsServer
from exporter.server.connections import Limits
from exporter.server.endpoints import Handlers, Health
from exporter.server.web_config.document import WebConfig
from tests.waiting import PATIENCE_S

SCRAPE = b"GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n"
LAST_SCRAPE = b"GET /metrics HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"
SOON = 0.3
"""A time limit that a test waits out."""

LARGE_PAGE = bytes(1_000_000)
WELL = Health(ok=True, text="all GPUs are read")


PAGE_FOR_PEOPLE = b"<!DOCTYPE html><title>GPUs</title>"


@dataclass
class Exporter:
    """What stands behind the server; a test changes it as it goes."""

    pages: dict[Format, bytes] = field(
        default_factory=lambda: {Format.TEXT: b"as text\n", Format.OPENMETRICS: b"as OpenMetrics\n# EOF\n"}
    )
    health: Health = WELL
    ready: Health = WELL
    broken: str = ""
    asked: list[AskedNames] = field(default_factory=list)

    def page(self, form: Format, names: AskedNames = None) -> Page:
        self.asked.append(names)
        if self.broken:
            raise RuntimeError(self.broken)
        text = self.pages[form]
        return Page(text, gzip.compress(text, 1), 0.0)

    def is_healthy(self) -> Health:
        if self.broken:
            raise RuntimeError(self.broken)
        return self.health

    def sources(self) -> Handlers:
        return Handlers(self.page, self.is_healthy, lambda: self.ready, lambda: PAGE_FOR_PEOPLE)


class Reply(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Served:
    """A server that runs, and honest clients for it."""

    server: MetricsServer
    port: int
    exporter: Exporter

    def ask(self, path: str, method: str = "GET", **headers: str) -> Reply:
        """Send one request over a new connection; an underscore in a header's name stands for a dash."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        with contextlib.closing(connection):
            connection.request(method, path, headers={name.replace("_", "-"): headers[name] for name in headers})
            response = connection.getresponse()
            return Reply(response.status, dict(response.getheaders()), response.read())

    def connect(self, receive_buffer_bytes: int = 0) -> socket.socket:
        sock = socket.socket()
        sock.settimeout(PATIENCE_S)
        if receive_buffer_bytes:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        sock.connect(("127.0.0.1", self.port))
        return sock

    def send(self, data: bytes) -> bytes:
        """Send bytes as they are; returns all that comes until the server closes."""
        with self.connect() as sock:
            sock.sendall(data)
            return read_to_end(sock)


def read_to_end(sock: socket.socket) -> bytes:
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while data := sock.recv(65536):
            received += data
    return received


def is_ended(sock: socket.socket, within_s: float = PATIENCE_S) -> bool:
    """Wait until the server has ended a connection, without reading from it."""
    poll = select.poll()
    poll.register(sock, select.POLLRDHUP)
    return bool(poll.poll(within_s * 1000))


def large_page() -> Exporter:
    """A page that no kernel takes at once for a client with small buffers."""
    return Exporter(pages={Format.TEXT: LARGE_PAGE, Format.OPENMETRICS: b"small\n"})


def honest_scrape_works(served: Served) -> bool:
    return served.ask("/metrics", Accept="application/openmetrics-text").status == 200


def non_reader(served: Served) -> socket.socket:
    """A client that asks for the page, has seen that it comes, and reads no more."""
    sock = served.connect(receive_buffer_bytes=4096)
    sock.sendall(SCRAPE)
    assert sock.recv(1) == b"H"
    return sock


@contextlib.contextmanager
def serving(
    limits: Limits | None = None, exporter: Exporter | None = None, web: Callable[[], WebConfig] = WebConfig
) -> Iterator[Served]:
    exporter = exporter or Exporter()
    server = MetricsServer(exporter.sources(), limits or Limits(), web)
    port = server.listen("127.0.0.1", 0)
    with running(server):
        yield Served(server, port, exporter)


@contextlib.contextmanager
def running(server: MetricsServer) -> Iterator[None]:
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.stop()
        thread.join(PATIENCE_S)
        assert not thread.is_alive(), "the server did not stop"


CHILD = """
import os, sys
from exporter.errors import ConfigError
from exporter.server.app import MetricsServer
from exporter.server.connections import Limits
from exporter.server.listening import systemd_sockets
from tests.unit.server.serving import Exporter
os.dup2(int(sys.argv[1]), 3)
server = MetricsServer(Exporter().sources(), Limits())
try:
    server.adopt(systemd_sockets({"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}, os.getpid()))
except ConfigError as error:
    sys.exit(str(error))
server.run()
"""


@contextlib.contextmanager
def started_by_systemd(fd: int, program: str = CHILD) -> Iterator[subprocess.Popen[str]]:
    arguments = [sys.executable, "-c", program, str(fd)]
    with subprocess.Popen(arguments, pass_fds=[fd], stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()
