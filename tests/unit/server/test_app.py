"""Where the server listens, sockets from systemd, and how it ends."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from exporter.errors import ConfigError
from exporter.exposition import Format
from exporter.server.app import MetricsServer
from exporter.server.connections import Limits
from exporter.server.listening import systemd_sockets
from tests.unit.server.serving import (
    PATIENCE_S,
    SCRAPE,
    Exporter,
    Served,
    is_ended,
    read_to_end,
    running,
    serving,
)

# Listening.


def test_taken_port_is_one_sentence_that_names_it() -> None:
    with serving() as served:
        other = MetricsServer(Exporter().sources(), Limits())
        with pytest.raises(ConfigError) as caught:
            other.listen("127.0.0.1", served.port)
        with pytest.raises(ConfigError, match=f"--address :{served.port}: this port is in use"):
            other.listen(None, served.port)
    assert str(caught.value) == (
        f"--address 127.0.0.1:{served.port}: this port is in use; "
        "stop the program that listens on it or choose another port"
    )


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("192.0.2.1", r"--address 192\.0\.2\.1:0: no interface of this machine has this address"),
        ("2001:db8::1", r"--address \[2001:db8::1\]:0: "),
        ("no-such-host.invalid", "does not resolve"),
        ("a" * 300, "does not resolve"),
        ("x..y", "does not resolve"),
    ],
)
def test_address_that_is_not_ours_is_one_sentence(host: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        MetricsServer(Exporter().sources(), Limits()).listen(host, 0)


@pytest.mark.parametrize("host", [None, "", "0.0.0.0", "::", "localhost", "127.0.0.1"])  # noqa: S104
def test_every_way_to_say_here_answers_on_ipv4(host: str | None) -> None:
    assert asks_via(host, "127.0.0.1").startswith(b"HTTP/1.1 200 OK")


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize("host", [None, "", "0.0.0.0", "::", "::1"])  # noqa: S104
def test_every_way_to_say_everywhere_answers_on_ipv6(host: str | None) -> None:
    assert asks_via(host, "::1").startswith(b"HTTP/1.1 200 OK")


def asks_via(listen_host: str | None, client_host: str) -> bytes:
    server = MetricsServer(Exporter().sources(), Limits())
    port = server.listen(listen_host, 0)
    with socket.create_connection((client_host, port), timeout=PATIENCE_S) as sock:
        sock.sendall(SCRAPE)  # before anyone serves: the connection waits in the port's queue
        with running(server):
            return sock.recv(65536)


# systemd.

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


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
def test_sockets_of_systemd_are_served(family: socket.AddressFamily, tmp_path: os.PathLike[str]) -> None:
    where = ("127.0.0.1", 0) if family == socket.AF_INET else os.path.join(tmp_path, "socket")  # noqa: PTH118
    with socket.socket(family) as listening, socket.socket(family) as sock:
        listening.bind(where)
        listening.listen()
        sock.settimeout(PATIENCE_S)
        sock.connect(listening.getsockname())
        sock.sendall(SCRAPE)
        with started_by_systemd(listening.fileno()) as process:
            received = sock.recv(65536)
            process.terminate()
            process.communicate(timeout=PATIENCE_S)
    assert received.endswith(b"\r\n\r\nas text\n")


def test_descriptor_that_does_not_listen_is_refused() -> None:
    with socket.socket() as sock, started_by_systemd(sock.fileno()) as process:
        _, message = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    assert message.strip().startswith("--web-systemd-socket: file descriptor 3 does not listen; ")


def test_descriptor_that_is_no_socket_is_refused() -> None:
    with open(os.devnull) as file, started_by_systemd(file.fileno()) as process:  # noqa: PTH123
        _, message = process.communicate(timeout=PATIENCE_S)
    assert message.strip().startswith("--web-systemd-socket: file descriptor 3 is no socket ")


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"LISTEN_FDS": "1"},
        {"LISTEN_FDS": "1", "LISTEN_PID": "2"},
        {"LISTEN_PID": "1"},
        {"LISTEN_FDS": "0", "LISTEN_PID": "1"},
        {"LISTEN_FDS": "-1", "LISTEN_PID": "1"},
        {"LISTEN_FDS": "\u0663", "LISTEN_PID": "1"},
    ],
)
def test_without_sockets_for_this_process_the_flag_is_refused(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"--web-systemd-socket: systemd handed over no socket .*\.socket unit"):
        systemd_sockets(environ, pid=1)


# The end.


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
