"""Each test lets clients misbehave, and sees what becomes of them and what an honest client gets meanwhile."""

import contextlib
import logging
import socket
import struct
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.exposition import Format
from exporter.model import Page
from exporter.server.connections import Limits
from tests.unit.server.serving import LAST_SCRAPE, PATIENCE_S, SCRAPE, Exporter, Served, is_ended, read_to_end, serving

SOON = 0.3
LARGE_PAGE = bytes(1_000_000)
TCP_LISTEN = "0A"  # as /proc/net/tcp has it
RESET = struct.pack("ii", 1, 0)


def large_page() -> Exporter:
    """A page that no kernel takes at once for a client with small buffers."""
    return Exporter(pages={Format.TEXT: LARGE_PAGE, Format.OPENMETRICS: b"small\n"})


def honest_scrape_works(served: Served) -> bool:
    return served.ask("/metrics", Accept="application/openmetrics-text").status == 200


def drip_until_ended(sock: socket.socket, data: bytes) -> bool:
    """Send some bytes again and again until the server ends the connection."""
    end = time.monotonic() + PATIENCE_S
    with contextlib.suppress(ConnectionError):
        while not is_ended(sock, within_s=SOON / 20):
            if time.monotonic() > end:
                return False
            sock.sendall(data)
    return True


def non_reader(served: Served) -> socket.socket:
    """A client that asks for the page, has seen that it comes, and reads no more."""
    sock = served.connect(receive_buffer_bytes=4096)
    sock.sendall(SCRAPE)
    assert sock.recv(1) == b"H"
    return sock


# Time.


def test_client_that_drips_headers_is_ended_however_often_it_sends() -> None:
    with serving(Limits(read_timeout_s=SOON)) as served, served.connect() as sock:
        sock.sendall(b"GET /metrics HTTP/1.1\r\nX-Slow: ")
        assert honest_scrape_works(served)
        assert drip_until_ended(sock, b"x")
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


def test_client_that_reads_nothing_is_ended() -> None:
    with serving(Limits(write_timeout_s=SOON), large_page()) as served, non_reader(served) as sock:
        assert honest_scrape_works(served)
        assert is_ended(sock)


def test_client_that_drips_its_reading_is_ended_before_the_page_is() -> None:
    with serving(Limits(write_timeout_s=SOON), large_page()) as served, non_reader(served) as sock:
        received = 0
        while not is_ended(sock, within_s=SOON / 20):
            received += len(sock.recv(10))
            assert received < len(LARGE_PAGE)
        assert honest_scrape_works(served)


def test_time_for_one_answer_is_not_taken_from_the_next() -> None:
    with serving(Limits(write_timeout_s=1), large_page()) as served, served.connect(4096) as sock:
        sock.sendall(SCRAPE)
        assert read_to_end_of_page(sock)
        time.sleep(0.6)
        sock.sendall(SCRAPE)
        assert not is_ended(sock, within_s=0.7)  # now the first answer's time would be over
        assert read_to_end_of_page(sock)


def test_client_that_took_its_answer_in_time_is_left_alone() -> None:
    with serving(Limits(write_timeout_s=2 * SOON), large_page()) as served, non_reader(served) as sock:
        assert read_to_end_of_page(sock)
        assert not is_ended(sock, within_s=3 * SOON)


def test_timeouts_of_zero_are_none() -> None:
    limits = Limits(read_timeout_s=0, write_timeout_s=0)
    with serving(limits, large_page()) as served, non_reader(served) as sock, served.connect() as silent:
        assert honest_scrape_works(served)
        assert not is_ended(sock, within_s=SOON)
        assert not is_ended(silent, within_s=0)


# Number.


def test_beyond_the_cap_the_oldest_connections_make_room() -> None:
    with serving(Limits(max_connections=8)) as served, contextlib.ExitStack() as stack:
        flood = [stack.enter_context(served.connect()) for _ in range(40)]
        assert honest_scrape_works(served)
        assert all(is_ended(sock) for sock in flood[:32])
        assert not is_ended(flood[-1], within_s=0)


def test_client_that_was_answered_last_is_the_last_to_make_room() -> None:
    with serving(Limits(max_connections=4)) as served, contextlib.ExitStack() as stack:
        faithful = stack.enter_context(served.connect())
        for _ in range(20):
            faithful.sendall(SCRAPE)
            assert faithful.recv(65536).startswith(b"HTTP/1.1 200 OK")
            stack.enter_context(served.connect())


def test_flood_of_clients_that_read_nothing_makes_room_too() -> None:
    with serving(Limits(max_connections=4), large_page()) as served, contextlib.ExitStack() as stack:
        flood = [stack.enter_context(non_reader(served)) for _ in range(12)]
        assert honest_scrape_works(served)
        assert all(is_ended(sock) for sock in flood[:8])


def test_idle_clients_make_room_before_one_that_is_being_answered() -> None:
    with serving(Limits(max_connections=4), large_page()) as served, contextlib.ExitStack() as stack:
        reader = stack.enter_context(non_reader(served))
        for _ in range(12):
            stack.enter_context(served.connect())
        assert honest_scrape_works(served)
        received = 1
        while received < len(LARGE_PAGE):
            received += len(reader.recv(65536))


def test_scrapes_beyond_those_allowed_at_once_are_rejected() -> None:
    with serving(Limits(max_concurrent_scrapes=2), large_page()) as served:
        with non_reader(served):
            assert honest_scrape_works(served)
            with non_reader(served):
                rejected = served.ask("/metrics")
                assert served.ask("/health").status == 200
        assert rejected.status == 503
        assert rejected.body == b"Too many scrapes at once (--max-concurrent-scrapes); try again.\n"
        assert served.server.counts.rejected == 1
        end = time.monotonic() + PATIENCE_S
        while not honest_scrape_works(served):
            assert time.monotonic() < end, "the place of those that hung up was not given back"


# Memory.


def test_a_write_timeout_beyond_the_kernels_longest_is_as_good_as_none() -> None:
    with serving(Limits(write_timeout_s=1000 * 3600)) as served:
        assert served.ask("/metrics").status == 200


class EverNew(Exporter):
    """An exporter whose page is another one at each scrape."""

    def page(self, form: Format) -> Page:
        known = super().page(form)
        return known._replace(text=bytes(bytearray(known.text)))


def test_scrapers_of_the_same_page_share_its_memory_and_none_is_ended() -> None:
    limits = Limits(max_unsent_bytes=2 * len(LARGE_PAGE))
    with serving(limits, large_page()) as served, contextlib.ExitStack() as stack:
        readers = [stack.enter_context(non_reader(served)) for _ in range(20)]
        assert honest_scrape_works(served)
        assert all(read_to_end_of_page(reader) for reader in readers)


def test_those_that_have_been_reading_longest_are_ended_when_unread_answers_take_too_much() -> None:
    limits = Limits(max_unsent_bytes=3 * len(LARGE_PAGE))
    with serving(limits, EverNew(pages=large_page().pages)) as served, contextlib.ExitStack() as stack:
        readers = [stack.enter_context(non_reader(served)) for _ in range(5)]
        assert honest_scrape_works(served)
        assert all(is_ended(sock) for sock in readers[:2])
        assert read_to_end_of_page(readers[2])
        assert read_to_end_of_page(readers[4])


def test_kernel_lets_go_of_an_answer_that_a_client_left_unread() -> None:
    limits = Limits(read_timeout_s=SOON, write_timeout_s=SOON)
    exporter = Exporter(pages={Format.TEXT: bytes(60_000)})  # the kernel takes it at once
    with serving(limits, exporter) as served, non_reader(served) as sock:
        end = time.monotonic() + PATIENCE_S
        while kernel_has_connections(served.port):
            assert time.monotonic() < end, "the kernel still holds the answer"
            time.sleep(SOON / 10)
        assert len(read_to_end(sock)) < 60_000


def kernel_has_connections(port: int) -> bool:
    """Tell whether the server's end of any connection is left, one that no process owns any more too."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    ours = [state for _, local, _, state, *_ in rows if local.endswith(f":{port:04X}")]
    return ours != [TCP_LISTEN]


def test_page_larger_than_all_unread_answers_may_be_is_sent_all_the_same() -> None:
    with serving(Limits(max_unsent_bytes=1000), large_page()) as served:
        assert served.ask("/metrics").body == LARGE_PAGE


def read_to_end_of_page(sock: socket.socket) -> bool:
    received = 0
    while received < len(LARGE_PAGE):
        data = sock.recv(65536)
        if not data:
            return False
        received += len(data)
    return True


def test_headers_without_end_are_cut_off() -> None:
    with serving() as served, served.connect() as sock:
        sock.sendall(b"GET /metrics HTTP/1.1\r\n")
        assert drip_until_ended(sock, b"X-More: " + b"x" * 4000 + b"\r\n")
        assert honest_scrape_works(served)


def test_headers_of_16_kib_are_read_and_larger_ones_are_not() -> None:
    with serving() as served:
        assert served.send(with_header_bytes(15_000)).startswith(b"HTTP/1.1 200 OK")
        assert served.send(with_header_bytes(17_000)) == b""
        assert honest_scrape_works(served)


def with_header_bytes(count: int) -> bytes:
    return LAST_SCRAPE.replace(b"Host: test", b"Host: " + b"x" * count)


@pytest.mark.parametrize("framing", [b"Content-Length: 5000", b"Transfer-Encoding: chunked"])
def test_body_of_more_than_4_kib_is_refused(framing: bytes) -> None:
    with serving() as served:
        head = b"POST /metrics HTTP/1.1\r\n" + framing + b"\r\n\r\n"
        assert served.send(head + b"1000\r\n" + b"x" * 0x1000 + b"\r\n1\r\n").startswith(b"HTTP/1.1 400 ")
        assert honest_scrape_works(served)


# Nonsense.


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


# Hanging up.


@pytest.mark.parametrize("is_reset", [True, False], ids=["by reset", "by closing"])
@pytest.mark.parametrize("read_bytes", [0, 1, 10_000])
def test_clients_that_hang_up_leave_nothing_behind(
    *, is_reset: bool, read_bytes: int, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(Limits(max_concurrent_scrapes=2), large_page()) as served:
        for _ in range(20):
            with served.connect() as sock:
                sock.sendall(SCRAPE)
                if read_bytes:
                    sock.recv(read_bytes)
                if is_reset:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        end = time.monotonic() + PATIENCE_S
        while not honest_scrape_works(served):
            assert time.monotonic() < end, "an answer for a client that hung up is still under way"
    assert not caplog.records
