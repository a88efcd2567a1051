"""How the server begins and ends."""

import os
import signal
import socket
import threading

import pytest

from exporter.exposition import Format
from exporter.server.app import MetricsServer
from exporter.server.connections import Limits
from tests.unit.server.serving import (
    CHILD,
    SCRAPE,
    Exporter,
    Served,
    is_ended,
    read_to_end,
    serving,
    started_by_systemd,
)
from tests.waiting import PATIENCE_S


def test_server_stopped_before_it_runs_does_not_run() -> None:
    server = MetricsServer(Exporter().sources(), Limits())
    port = server.listen("127.0.0.1", 0)
    server.stop()
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_stopping_ends_connections_that_are_open() -> None:
    with serving() as served, served.connect() as idle, served.connect() as slow:
        slow.sendall(b"GET /metr")
        served.ask("/health")
        served.server.stop()
        assert read_to_end(idle) == read_to_end(slow) == b""


def test_stopping_twice_is_stopping_once() -> None:
    with serving() as served:
        served.server.stop()
        served.server.stop()


def test_answer_under_way_arrives_whole_although_the_server_stops() -> None:
    page = os.urandom(1_000_000).hex().encode()
    exporter = Exporter(pages={Format.TEXT: page})
    with serving(Limits(shutdown_grace_s=PATIENCE_S), exporter) as served:
        assert read_after_stop(served).endswith(b"\r\n\r\n" + page)


def test_answer_that_nobody_takes_does_not_hold_up_the_end() -> None:
    exporter = Exporter(pages={Format.TEXT: bytes(2_000_000)})
    with serving(Limits(shutdown_grace_s=0.01), exporter) as served, served.connect(4096) as sock:
        sock.sendall(SCRAPE)
        sock.recv(1)
        served.server.stop()
        assert is_ended(sock)


def read_after_stop(served: Served) -> bytes:
    with served.connect(receive_buffer_bytes=4096) as sock:
        sock.sendall(SCRAPE)
        first = sock.recv(1)
        served.server.stop()
        return first + read_to_end(sock)


def test_signal_handler_may_stop_the_server() -> None:
    handler = "import signal; signal.signal(signal.SIGTERM, lambda *_: server.stop())"
    program = CHILD.replace("server.run()", f"{handler}\nserver.run()\nprint('ended', file=sys.stderr)")
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.create_connection(listening.getsockname(), timeout=PATIENCE_S) as sock,
        started_by_systemd(listening.fileno(), program) as process,
    ):
        sock.sendall(SCRAPE)
        assert sock.recv(1) == b"H"
        process.send_signal(signal.SIGTERM)
        _, message = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, message) == (0, "ended\n")
