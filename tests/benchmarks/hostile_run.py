"""A server with samplers beside it, an honest client, and a hostile crowd: each a process of its own, on 127.0.0.1."""

import asyncio
import contextlib
import gc
import gzip
import logging
import math
import multiprocessing
import random
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from exporter.exposition import Format
from exporter.model import AskedNames, Page
from exporter.server.app import MetricsServer
from exporter.server.connections import Limits
from exporter.server.endpoints import Handlers, Health
from exporter.server.web_config.document import read_web_config
from exporter.server.web_config.files import FilesRead
from tests.benchmarks.hostile_clients import Target, basic, harass
from tests.certificates import Authority
from tests.unit.server.web_config.writing import HASH
from tests.waiting import PATIENCE_S

SAMPLERS = 8
SAMPLER_CPU_S = 0.004
CROWD_COMES_IN_S = 2.0
LOGIN = "alice:password"
WELL = Health(ok=True, text="ok")
SCRAPE = (
    b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: Prometheus/3.5.0\r\n"
    b"Accept: application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    b"application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    b"text/plain;version=0.0.4;q=0.3,*/*;q=0.2\r\n"
    b"Accept-Encoding: gzip\r\nX-Prometheus-Scrape-Timeout-Seconds: 10\r\n"
)


class Run(NamedTuple):
    """Latencies in seconds of the scrapes that succeeded, and why the others did not."""

    latencies_s: list[float]
    failures: list[str]

    def __add__(self, other: object) -> "Run":
        if not isinstance(other, Run):
            return NotImplemented
        return Run(self.latencies_s + other.latencies_s, self.failures + other.failures)


class PageSource:
    """Renders and compresses a page of a given size, anew each second as the exporter does."""

    def __init__(self, size_bytes: int) -> None:
        self._lines = [
            f'DCGM_FI_DEV_GPU_UTIL{{gpu="{n % 8}",UUID="GPU-{n * 7919:032x}",pci_bus_id="00000000:1A:00.0",'
            f'device="nvidia{n % 8}",modelName="NVIDIA H100 80GB HBM3",Hostname="node-1",namespace="team"}} '
            for n in range(math.ceil(size_bytes / 200))
        ]
        self._page = Page(b"", b"", 0.0)

    def __call__(self, _: Format, __: AskedNames) -> Page:
        now = time.monotonic()
        if now >= self._page.expires:
            value = int(now) % 100
            text = "".join([f"{line}{value}\n" for line in self._lines]).encode()
            self._page = Page(text, gzip.compress(text, 1), now + 1.0)
        return self._page


def sample(offset_s: float) -> None:
    """Burn CPU once a second, as a sampler does, until the process ends."""
    due = math.ceil(time.monotonic()) + offset_s
    while True:
        time.sleep(max(0.0, due - time.monotonic()))
        due += 1.0
        start = time.thread_time()
        while time.thread_time() - start < SAMPLER_CPU_S:
            str(start).encode().decode()


def serve(control: Connection, page_bytes: int, web_config: Path) -> None:
    """Serve until the other side says so; until then say each time that it asks what the peak of memory was, in KiB."""
    config = read_web_config(str(web_config), FilesRead())
    sources = Handlers(PageSource(page_bytes), lambda: WELL, lambda: WELL, lambda: b"")
    server = MetricsServer(sources, Limits(), lambda: config)
    control.send(server.listen("127.0.0.1", 0))
    for index in range(SAMPLERS):
        threading.Thread(target=sample, args=(index / SAMPLERS,), daemon=True).start()

    def answer() -> None:
        while control.recv() == "peak":
            status = Path("/proc/self/status").read_text()
            control.send(int(status.split("VmHWM:")[1].split()[0]))
        server.stop()

    threading.Thread(target=answer, daemon=True).start()
    gc.freeze()
    server.run()


def attack(control: Connection, target: Target, seconds: float) -> None:
    """Harass the server and report the connections opened."""
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # it warns of each write to what the server has closed
    control.send(asyncio.run(harass(target, seconds)))


@dataclass(frozen=True)
class Server:
    """A server that runs, and the ways to measure it."""

    target: Target
    control: Connection

    def peak_kib(self) -> int:
        """Return the peak of its resident memory so far."""
        self.control.send("peak")
        peak: int = self.control.recv()
        return peak

    def quiet_run(self, seconds: float, rate_hz: float) -> Run:
        """Scrape at a rate, at irregular times, so that scrapes and samplers don't fall into step."""
        run = Run([], [])
        tls = self.target.tls()
        pauses = random.Random(1)  # noqa: S311 - the same times in each run
        due = time.monotonic()
        for _ in range(int(seconds * rate_hz)):
            time.sleep(max(0.0, due - time.monotonic()))
            due += pauses.uniform(0.5, 1.5) / rate_hz
            try:
                run.latencies_s.append(scrape(self.target, tls))
            except OSError as error:
                run.failures.append(repr(error))
        return run

    def hostile_run(self, seconds: float, rate_hz: float) -> tuple[Run, Counter[str]]:
        """Scrape while the hostile clients are at it; returns also the connections that they opened."""
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=attack, args=(theirs, self.target, seconds + CROWD_COMES_IN_S + 1))
        process.start()
        theirs.close()
        time.sleep(CROWD_COMES_IN_S)
        run = self.quiet_run(seconds, rate_hz)
        opened: Counter[str] = ours.recv()
        process.join()
        return run, opened


@contextlib.contextmanager
def running_server(page_bytes: int, folder: Path, *, secure: bool) -> Iterator[Server]:
    """Run a server that asks for passwords, with TLS or without."""
    web_config, authority = folder / "web.yml", None
    lines = f"basic_auth_users: {{{LOGIN.partition(':')[0]}: {HASH}}}\n"
    if secure:
        authority = Authority(folder / "ca")
        lines += f"tls_server_config:\n  {authority.issue('server').files()}"
    web_config.write_text(lines)
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, page_bytes, web_config))
    process.start()
    theirs.close()
    try:
        yield Server(Target(ours.recv(), LOGIN, authority.certificate if authority else None), ours)
        ours.send("stop")
    finally:
        process.join(5)
        process.kill()


def scrape(target: Target, tls: ssl.SSLContext | None) -> float:
    """Scrape once over a new connection and check the whole page; returns the seconds until its last byte."""
    start = time.perf_counter()
    with contextlib.ExitStack() as stack:
        sock: socket.socket = stack.enter_context(
            socket.create_connection(("127.0.0.1", target.port), timeout=PATIENCE_S)
        )
        if tls:
            sock = stack.enter_context(tls.wrap_socket(sock, server_hostname="localhost"))
        sock.sendall(SCRAPE + f"Authorization: {basic(target.login)}\r\n\r\n".encode())
        received = b""
        while (end := received.find(b"\r\n\r\n")) < 0:
            received += receive(sock)
        length = int(received[:end].lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        while len(received) < end + 4 + length:
            received += receive(sock)
    elapsed = time.perf_counter() - start
    if not received.startswith(b"HTTP/1.1 200 ") or not gzip.decompress(received[end + 4 :]).endswith(b"\n"):
        raise ConnectionError(f"not a page: {received[:200]!r}")
    return elapsed


def receive(sock: socket.socket) -> bytes:
    """Receive some bytes; the end of the stream is an error here."""
    data = sock.recv(65536)
    if not data:
        raise ConnectionError("closed before the end of the page")
    return data
