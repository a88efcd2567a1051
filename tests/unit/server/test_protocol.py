import contextlib
import logging
import socket
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.exposition import Format
from exporter.server.connections import Limits
from tests.unit.server.serving import (
    LAST_SCRAPE,
    SCRAPE,
    SOON,
    Exporter,
    honest_scrape_works,
    is_ended,
    large_page,
    non_reader,
    read_to_end,
    serving,
)
from tests.waiting import until

TCP_LISTEN = "0A"  # as /proc/net/tcp has it


def drip_until_ended(sock: socket.socket, data: bytes) -> None:
    """Send some bytes again and again until the server ends the connection."""

    def has_ended() -> bool:
        if is_ended(sock, within_s=SOON / 20):
            return True
        sock.sendall(data)
        return False

    with contextlib.suppress(ConnectionError):
        until(has_ended, what="the end of the connection")


def test_client_that_drips_headers_is_ended_however_often_it_sends() -> None:
    with serving(Limits(read_timeout_s=SOON)) as served, served.connect() as sock:
        sock.sendall(b"GET /metrics HTTP/1.1\r\nX-Slow: ")
        assert honest_scrape_works(served)
        drip_until_ended(sock, b"x")
        assert honest_scrape_works(served)


@pytest.mark.parametrize(
    "beginning",
    [b"", b"GET", b"POST /metrics HTTP/1.1\r\nContent-Length: 10\r\n\r\nhalf", SCRAPE],
    ids=["silent", "half a line", "half a body", "idle after an answer"],
)
def test_client_that_stops_sending_is_ended(beginning: bytes) -> None:
    with serving(Limits(read_timeout_s=SOON)) as served, served.connect() as sock:
        sock.sendall(beginning)
        assert honest_scrape_works(served)
        assert is_ended(sock)


def test_timeouts_of_zero_are_none() -> None:
    limits = Limits(read_timeout_s=0, write_timeout_s=0)
    with serving(limits, large_page()) as served, non_reader(served) as sock, served.connect() as silent:
        assert honest_scrape_works(served)
        assert not is_ended(sock, within_s=SOON)
        assert not is_ended(silent, within_s=0)


def test_a_write_timeout_beyond_the_kernels_longest_is_as_good_as_none() -> None:
    with serving(Limits(write_timeout_s=1000 * 3600)) as served:
        assert served.ask("/metrics").status == 200


def test_kernel_lets_go_of_an_answer_that_a_client_left_unread() -> None:
    limits = Limits(read_timeout_s=SOON, write_timeout_s=SOON)
    exporter = Exporter(pages={Format.TEXT: bytes(60_000)})  # the kernel takes it at once
    with serving(limits, exporter) as served, non_reader(served) as sock:
        until(lambda: not kernel_has_connections(served.port), what="the kernel's letting go of the answer")
        assert len(read_to_end(sock)) < 60_000


def kernel_has_connections(port: int) -> bool:
    """Tell whether the server's end of any connection is left, one that no process owns any more too."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    ours = [state for _, local, _, state, *_ in rows if local.endswith(f":{port:04X}")]
    return ours != [TCP_LISTEN]


def test_headers_without_end_are_cut_off() -> None:
    with serving() as served, served.connect() as sock:
        sock.sendall(b"GET /metrics HTTP/1.1\r\n")
        drip_until_ended(sock, b"X-More: " + b"x" * 4000 + b"\r\n")
        assert honest_scrape_works(served)


def test_headers_of_16_kib_are_read_and_larger_ones_are_not() -> None:
    with serving() as served:
        assert served.send(with_header_bytes(15_000)).startswith(b"HTTP/1.1 200 OK")
        for count in (17_000, 40_000, 1_000_000):
            refusal = served.send(with_header_bytes(count))
            assert refusal.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
            assert refusal.endswith(b"\r\n\r\nThe request headers are too large.\n")
        assert honest_scrape_works(served)


def with_header_bytes(count: int) -> bytes:
    return LAST_SCRAPE.replace(b"Host: test", b"Host: " + b"x" * count)


@pytest.mark.parametrize(
    "request_head",
    [
        b"GET /metrics HTTP/1.1\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nAccept: text/plain\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nHost: one\r\nHost: two\r\n\r\n",
        b"GET ftp://test/metrics HTTP/1.1\r\nHost: test\r\n\r\n",
        b"GET file:///etc/passwd HTTP/1.1\r\nHost: test\r\n\r\n",
    ],
)
def test_a_request_without_one_host_or_of_an_unknown_scheme_is_refused_and_closed(request_head: bytes) -> None:
    with serving() as served:
        answer = served.send(request_head)
        assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert b"\r\nConnection: close\r\n" in answer
        assert served.server.counts.ok == 0
        assert honest_scrape_works(served)


@pytest.mark.parametrize(
    "request_head",
    [
        b"GET /metrics HTTP/1.0\r\n\r\n",
        b"GET http://test/metrics HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n",
        b"GET HTTPS://test/metrics HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n",
    ],
)
def test_an_old_request_without_a_host_and_a_proxys_whole_url_are_answered(request_head: bytes) -> None:
    with serving() as served:
        assert served.send(request_head).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize("framing", [b"Content-Length: 5000", b"Transfer-Encoding: chunked"])
def test_body_of_more_than_4_kib_is_refused(framing: bytes) -> None:
    with serving() as served:
        head = b"POST /metrics HTTP/1.1\r\n" + framing + b"\r\n\r\n"
        assert served.send(head + b"1000\r\n" + b"x" * 0x1000 + b"\r\n1\r\n").startswith(b"HTTP/1.1 400 ")
        assert honest_scrape_works(served)


@pytest.mark.parametrize(
    "nonsense",
    [
        b"hello\r\n\r\n",
        b"GET /metrics\r\n\r\n",
        b"GET /metrics HTTP/2.0\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /metrics HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500) + b"\r\n\r\n",
        b"\r\n\r\n\r\n\r\n",
        "GET /metrics HTTP/1.1\r\nX-Umlaut: \u00e4\u00df\r\nHost: \u00fc\r\nbad header name: x\r\n\r\n".encode(),
    ],
)
def test_nonsense_is_answered_with_400_and_not_logged(nonsense: bytes, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with serving() as served:
        assert served.send(nonsense).startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert honest_scrape_works(served)
    assert not caplog.records


def test_bytes_of_any_kind_never_harm_the_server(caplog: pytest.LogCaptureFixture) -> None:
    tokens = st.sampled_from([b"GET ", b"/metrics", b" HTTP/1.1", b"\r\n", b"\n", b": ", b"Content-Length", b"chunked"])
    with serving() as served:

        @given(st.lists(tokens | st.binary(max_size=20), max_size=20))
        @settings(max_examples=100, deadline=None)
        def whatever_is_sent_the_connection_ends(pieces: list[bytes]) -> None:
            with served.connect() as sock:
                sock.sendall(b"".join(pieces))
                sock.shutdown(socket.SHUT_WR)
                read_to_end(sock)

        whatever_is_sent_the_connection_ends()
        assert honest_scrape_works(served)
    assert not caplog.records
