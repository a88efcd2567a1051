"""Measure an honest client's scrapes while 150 hostile ones keep the server busy, against a quiet run.

    python tests/benchmarks/bench_hostile_clients.py [--seconds 10] [--rounds 4] [--page-bytes 60000]

One process serves, with eight threads beside it that burn 4 ms of Python a second each, as samplers do; one is
hostile: 50 clients that hang up, 50 that read a byte now and then, 50 that write their headers so. This one
scrapes as Prometheus does. Quiet and hostile runs alternate. All on 127.0.0.1; ends by itself.
"""

import argparse
import asyncio
import contextlib
import gc
import gzip
import math
import multiprocessing
import random
import socket
import struct
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from exporter.exposition import Format
from exporter.model import AskedNames, Page
from exporter.server.app import MetricsServer
from exporter.server.connections import Limits
from exporter.server.endpoints import Handlers, Health

SAMPLERS = 8
SAMPLER_CPU_S = 0.004
CLIENTS_A_KIND = 50
HANG_UP_EVERY_S = 0.2
DRIP_EVERY_S = 0.5
RESET = struct.pack("ii", 1, 0)
SCRAPE = (
    b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: Prometheus/3.5.0\r\n"
    b"Accept: application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    b"application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    b"text/plain;version=0.0.4;q=0.3,*/*;q=0.2\r\n"
    b"Accept-Encoding: gzip\r\nX-Prometheus-Scrape-Timeout-Seconds: 10\r\n\r\n"
)
WELL = Health(ok=True, text="ok")
PLAIN_SCRAPE = b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


class Run(NamedTuple):
    """Latencies in seconds of the scrapes that succeeded, and how many did not."""

    latencies_s: list[float]
    failures: int


# The server's process.


class PageSource:
    """Renders and compresses a page of a given size, anew each second as the exporter does."""

    def __init__(self, size_bytes: int) -> None:
        self._lines = [
            f'DCGM_FI_DEV_GPU_UTIL{{gpu="{n % 8}",UUID="GPU-{n * 7919:032x}",pci_bus_id="00000000:1A:00.0",'
            f'device="nvidia{n % 8}",modelName="NVIDIA H100 80GB HBM3",Hostname="node-1",namespace="team"}} '
            for n in range(math.ceil(size_bytes / 200))
        ]
        self._page = Page(b"", b"", 0.0)

    def __call__(self, _form: Format, _names: AskedNames = None) -> Page:
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


def serve(control: Connection, page_bytes: int) -> None:
    """Serve until the other side says stop, then report the peak of resident memory in KiB."""
    sources = Handlers(PageSource(page_bytes), lambda: WELL, lambda: WELL, "bench")
    server = MetricsServer(sources, Limits())
    control.send(server.listen("127.0.0.1", 0))
    for index in range(SAMPLERS):
        threading.Thread(target=sample, args=(index / SAMPLERS,), daemon=True).start()

    def wait_for_stop() -> None:
        control.recv()
        server.stop()

    threading.Thread(target=wait_for_stop, daemon=True).start()
    gc.freeze()
    server.run()
    status = Path("/proc/self/status").read_text()
    control.send(int(status.split("VmHWM:")[1].split()[0]))


# The hostile clients' process.


class Hostile:
    """One client's ways to misbehave, each for as long as the server lets it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.attempts = 0

    async def connect(self, receive_buffer_bytes: int = 0) -> socket.socket:
        """Open a connection."""
        self.attempts += 1
        sock = socket.socket()
        sock.settimeout(0)
        if receive_buffer_bytes:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self._port))
        return sock

    async def hang_up(self) -> None:
        """Ask for the page and reset the connection before or while it arrives."""
        sock = await self.connect()
        with sock:
            await asyncio.get_running_loop().sock_sendall(sock, PLAIN_SCRAPE)
            if self.attempts % 2:
                await asyncio.get_running_loop().sock_recv(sock, 1024)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        await asyncio.sleep(HANG_UP_EVERY_S)

    async def read_slowly(self) -> None:
        """Ask for the page and take a byte of it now and then."""
        with await self.connect(receive_buffer_bytes=4096) as sock:
            await asyncio.get_running_loop().sock_sendall(sock, PLAIN_SCRAPE)
            while await asyncio.get_running_loop().sock_recv(sock, 1):  # noqa: ASYNC110 - the pace is the point
                await asyncio.sleep(DRIP_EVERY_S)

    async def write_headers_slowly(self) -> None:
        """Send a header that never ends, a byte now and then."""
        with await self.connect() as sock:
            await asyncio.get_running_loop().sock_sendall(sock, b"GET /metrics HTTP/1.1\r\nX-Slow: ")
            while True:
                await asyncio.get_running_loop().sock_sendall(sock, b"x")
                await asyncio.sleep(DRIP_EVERY_S)


async def repeat(misbehave: Callable[[], Awaitable[None]], start_after_s: float) -> None:
    """Begin again whenever the server has ended the connection."""
    await asyncio.sleep(start_after_s)
    while True:
        with contextlib.suppress(OSError):
            await misbehave()
        await asyncio.sleep(0.05)


async def harass(port: int, seconds: float) -> int:
    """Run all hostile clients for some seconds; returns how many connections they opened."""
    hostile = Hostile(port)
    ways = (hostile.hang_up, hostile.read_slowly, hostile.write_headers_slowly)
    tasks = [
        asyncio.create_task(repeat(way, HANG_UP_EVERY_S * index / CLIENTS_A_KIND))
        for way in ways
        for index in range(CLIENTS_A_KIND)
    ]
    await asyncio.sleep(seconds)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return hostile.attempts


def attack(control: Connection, port: int, seconds: float) -> None:
    """Harass the server and report the connections opened."""
    control.send(asyncio.run(harass(port, seconds)))


# This process: the honest client.


def scrape(port: int) -> float:
    """Scrape once over a new connection and check the whole page; returns the seconds until its last byte."""
    start = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        sock.sendall(SCRAPE)
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


def scrape_for(port: int, seconds: float, rate_hz: float) -> Run:
    """Scrape at a rate, at irregular times, so that scrapes and samplers don't fall into step."""
    latencies, failures = [], 0
    pauses = random.Random(1)  # noqa: S311 - the same times in each run
    due = time.monotonic()
    for _ in range(int(seconds * rate_hz)):
        time.sleep(max(0.0, due - time.monotonic()))
        due += pauses.uniform(0.5, 1.5) / rate_hz
        try:
            latencies.append(scrape(port))
        except OSError as error:
            failures += 1
            print(f"honest scrape failed: {error!r}", file=sys.stderr)
    return Run(latencies, failures)


@contextlib.contextmanager
def running_server(page_bytes: int) -> Iterator[tuple[int, Connection]]:
    """Run the server's process; yields its port and the pipe to it."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, page_bytes))
    process.start()
    try:
        yield ours.recv(), ours
    finally:
        process.join(5)
        process.kill()


def hostile_run(port: int, seconds: float, rate_hz: float) -> Run:
    """Scrape while the hostile clients are at it."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=attack, args=(theirs, port, seconds + 3))
    process.start()
    time.sleep(2)  # until all 150 are there
    run = scrape_for(port, seconds, rate_hz)
    print(f"  hostile connections opened: {ours.recv()}")
    process.join()
    return run


def show(name: str, run: Run) -> float:
    """Print a run's figures; returns the 99th percentile in seconds."""
    ordered = sorted(run.latencies_s)
    p50, p99 = (ordered[min(len(ordered) - 1, int(len(ordered) * q))] for q in (0.5, 0.99))
    print(
        f"{name:8} {len(ordered)} scrapes, {run.failures} failed: "
        f"p50 {p50 * 1e3:.2f} ms, p99 {p99 * 1e3:.2f} ms, max {ordered[-1] * 1e3:.2f} ms"
    )
    return p99


def main() -> int:
    """Alternate quiet and hostile runs; returns 1 if the goal is missed: p99 at most 3 x, no scrape fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each run")
    parser.add_argument("--rounds", type=int, default=4, help="of a quiet and a hostile run")
    parser.add_argument("--rate-hz", type=float, default=20.0, help="of the honest client")
    parser.add_argument("--page-bytes", type=int, default=60_000, help="before compression")
    options = parser.parse_args()
    quiet, hostile = Run([], 0), Run([], 0)
    with running_server(options.page_bytes) as (port, control):
        time.sleep(1)
        for _ in range(options.rounds):
            more = scrape_for(port, options.seconds, options.rate_hz)
            quiet = Run(quiet.latencies_s + more.latencies_s, quiet.failures + more.failures)
            more = hostile_run(port, options.seconds, options.rate_hz)
            hostile = Run(hostile.latencies_s + more.latencies_s, hostile.failures + more.failures)
        control.send("stop")
        peak_kib = control.recv()
    ratio = 1 / show("quiet", quiet) * show("hostile", hostile)
    print(f"p99 ratio {ratio:.2f}, server's peak memory {peak_kib / 1024:.1f} MiB")
    return int(ratio > 3 or bool(quiet.failures + hostile.failures))


if __name__ == "__main__":
    sys.exit(main())
