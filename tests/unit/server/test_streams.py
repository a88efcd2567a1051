"""Connections with TLS: those that speak none, and those that take their time."""

import contextlib
import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress

import pytest

from exporter.server.connections import Limits
from exporter.server.web_config.document import WebConfig
from tests.unit.server.serving import (
    LAST_SCRAPE,
    SCRAPE,
    SOON,
    Served,
    is_ended,
    large_page,
    read_to_end,
    serving,
)
from tests.unit.server.web_config.test_tls import client
from tests.unit.server.web_config.writing import Files

HELLO = bytes.fromhex("16030100c8010000c40303")
"""What a ClientHello begins with."""


@pytest.fixture
def secure(files: Files) -> Iterator[Served]:
    config = files.read_tls()
    with serving(Limits(read_timeout_s=SOON), web=lambda: config) as served:
        yield served


def scrape(served: Served, files: Files, request: bytes = LAST_SCRAPE) -> bytes:
    with served.connect() as sock, client(files).wrap_socket(sock, server_hostname="localhost") as secured:
        secured.sendall(request)
        return read_to_end(secured)


def test_page_comes_over_tls(secure: Served, files: Files) -> None:
    assert scrape(secure, files).endswith(b"\r\n\r\nas text\n")


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "CONNECT"])
def test_http_without_tls_is_answered_400_with_a_sentence(secure: Served, method: str) -> None:
    request = f"{method} /metrics HTTP/1.1\r\nHost: x\r\nX-Long: {'x' * 3000}\r\n\r\n".encode()
    answer = secure.send(request)
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert answer.endswith(b"\r\n\r\nClient sent an HTTP request to an HTTPS server.\n")


@pytest.mark.parametrize("begin", [b"", b"\x16", HELLO, HELLO + bytes(100), b"GET"])
def test_handshake_that_never_ends_is_ended(secure: Served, files: Files, begin: bytes) -> None:
    with secure.connect() as sock:
        sock.sendall(begin)
        assert scrape(secure, files)
        assert is_ended(sock)


def test_handshake_that_drips_is_ended_while_others_are_served(files: Files) -> None:
    config = files.read_tls()
    with serving(Limits(read_timeout_s=1.0), web=lambda: config) as served, served.connect() as sock:
        with contextlib.suppress(OSError):
            for byte in HELLO + bytes(200):
                sock.sendall(bytes([byte]))
                assert scrape(served, files)
                if is_ended(sock, within_s=0.02):
                    return
        assert is_ended(sock, within_s=0)


def test_broken_handshakes_and_clients_that_hang_up_in_them_cost_nothing(
    secure: Served, files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    for data in (
        HELLO + b"\xff" * 300,
        b"\x16\x03\x01\x00\x05hello",
        b"\x15\x03\x01\x00\x02\x02\x28",
        bytes(500),
        HELLO,
    ):
        with secure.connect() as sock:
            sock.sendall(data)
            with suppress(OSError):  # the server may have hung up first
                sock.shutdown(socket.SHUT_WR)
            read_to_end(sock)
    distrusting = ssl.create_default_context()
    with secure.connect() as sock, pytest.raises(ssl.SSLError):
        distrusting.wrap_socket(sock, server_hostname="localhost")
    assert scrape(secure, files)
    assert caplog.records == []


def test_headers_that_are_too_large_are_answered_over_tls(secure: Served, files: Files) -> None:
    request = b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * 20_000
    assert scrape(secure, files, request).startswith(b"HTTP/1.1 431 ")


def test_client_that_reads_nothing_over_tls_is_ended(files: Files) -> None:
    config = files.read_tls()
    with (
        serving(Limits(write_timeout_s=SOON), large_page(), web=lambda: config) as served,
        served.connect(receive_buffer_bytes=4096) as sock,
        client(files).wrap_socket(sock, server_hostname="localhost") as secured,
    ):
        secured.sendall(SCRAPE)
        assert secured.recv(1) == b"H"
        assert is_ended(secured)


def test_tls_begins_and_ends_with_the_configuration_and_open_connections_stay(files: Files) -> None:
    config = WebConfig()
    with serving(web=lambda: config) as served, served.connect() as open_since_before:
        assert served.ask("/metrics").status == 200
        config = files.read_tls()
        assert scrape(served, files)
        open_since_before.sendall(LAST_SCRAPE)
        assert read_to_end(open_since_before).startswith(b"HTTP/1.1 200 OK")
        config = WebConfig()
        assert served.ask("/metrics").status == 200
