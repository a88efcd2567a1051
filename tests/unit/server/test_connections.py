"""Each test lets clients misbehave, and sees what becomes of them and what an honest client gets meanwhile."""

import contextlib
import socket
import struct
import time

import pytest

from exporter.exposition import Format
from exporter.model import AskedNames, Page
from exporter.server.connections import Limits
from tests.unit.server.serving import (
    LARGE_PAGE,
    SCRAPE,
    SOON,
    Exporter,
    honest_scrape_works,
    is_ended,
    large_page,
    non_reader,
    serving,
)
from tests.waiting import until

RESET = struct.pack("ii", 1, 0)


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


def test_beyond_the_cap_the_oldest_connections_make_room() -> None:
    with serving(Limits(max_connections=8)) as served, contextlib.ExitStack() as stack:
        flood = [stack.enter_context(served.connect()) for _ in range(40)]
        assert honest_scrape_works(served)
        assert all(is_ended(sock) for sock in flood[:32])
        assert not is_ended(flood[-1], within_s=0)


def test_crowd_from_one_address_makes_room_out_of_its_own_places() -> None:
    with serving(Limits(max_connections=8)) as served, contextlib.ExitStack() as stack:
        lonely = stack.enter_context(
            socket.create_connection(("127.0.0.1", served.port), source_address=("127.0.0.2", 0))
        )
        for _ in range(40):
            stack.enter_context(served.connect())
        assert honest_scrape_works(served)
        assert not is_ended(lonely, within_s=0)


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
        until(lambda: honest_scrape_works(served), what="a place for those that hung up")


class EverNew(Exporter):
    """An exporter whose page is another one at each scrape."""

    def page(self, form: Format, names: AskedNames = None) -> Page:
        known = super().page(form, names)
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
        until(lambda: honest_scrape_works(served), what="the end of answers for clients that hung up")
    assert not caplog.records
