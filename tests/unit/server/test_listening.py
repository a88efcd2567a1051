import os
import socket

import pytest

from exporter.errors import ConfigError
from exporter.server.app import MetricsServer
from exporter.server.connections import Limits
from exporter.server.listening import systemd_sockets
from tests.unit.server.serving import (
    SCRAPE,
    Exporter,
    running,
    serving,
    started_by_systemd,
)
from tests.waiting import PATIENCE_S


def test_taken_port_is_one_sentence_that_names_it() -> None:
    with serving() as served:
        other = MetricsServer(Exporter().sources(), Limits())
        with pytest.raises(ConfigError) as caught:
            other.listen("127.0.0.1", served.port)
        with pytest.raises(ConfigError, match=f"--address :{served.port}: the port is in use"):
            other.listen(None, served.port)
    assert str(caught.value) == (
        f"--address 127.0.0.1:{served.port}: the port is in use; "
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
    assert message.strip().startswith("--web-systemd-socket: file descriptor 3 is not listening; ")


def test_descriptor_that_is_no_socket_is_refused() -> None:
    with open(os.devnull) as file, started_by_systemd(file.fileno()) as process:  # noqa: PTH123
        _, message = process.communicate(timeout=PATIENCE_S)
    assert message.strip().startswith("--web-systemd-socket: file descriptor 3 is not a socket ")


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
    with pytest.raises(ConfigError, match=r"--web-systemd-socket: systemd passed no socket .*\.socket unit"):
        systemd_sockets(environ, pid=1)
