import base64
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import FetchError
from exporter.labels import block
from exporter.scraping import ScrapedSeries, fetch, parse_page

GOLDEN = Path(__file__).parents[1] / "golden"


@contextmanager
def answering(answer: bytes, *, then_waits: bool = False, then_drips: bytes = b"") -> Iterator[tuple[str, list[bytes]]]:
    """Have a server that gives each connection the same bytes, and keep what it was asked.

    What drips comes again and again, and often enough for every timeout between two bytes.
    """
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        kept: list[socket.socket] = []

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    kept.append(connection)
                    asked.append(connection.recv(65536))
                    connection.sendall(answer)
                    while then_drips:
                        connection.sendall(then_drips)
                        time.sleep(0.02)
                    if not then_waits:
                        connection.close()

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/metrics", asked
        listener.shutdown(socket.SHUT_RDWR)
        for connection in kept:
            connection.close()


def http(status: str, body: bytes = b"", *more: bytes) -> bytes:
    return b"\r\n".join((f"HTTP/1.1 {status}".encode(), b"Content-Length: %d" % len(body), *more, b"", body))


def test_every_series_of_a_real_page_is_read() -> None:
    for path in sorted(GOLDEN.glob("*.metrics")):
        text = path.read_text(encoding="utf-8")
        lines = [line for line in text.splitlines() if line and not line.startswith("#")]
        found = parse_page(text)
        assert len(found) == len(lines), path.name
        assert {one.name for one in found} == {line.split("{")[0].split(" ")[0] for line in lines}


NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True)


@given(NAMES, st.dictionaries(NAMES, st.text(max_size=20)), st.floats(allow_nan=False))
def test_what_is_written_is_read(name: str, labels: dict[str, str], value: float) -> None:
    line = f"{name}{{{block(labels.items())}}} {value!r} 1700000000000\n"
    assert parse_page(f"# HELP {name} x\n{line}") == (ScrapedSeries(name, labels, value),)


@given(st.text())
def test_whatever_else_is_there_is_left_out(text: str) -> None:
    assert all(isinstance(one.value, float) for one in parse_page(text))


def test_a_name_and_a_password_are_sent_and_not_shown() -> None:
    with answering(http("200 OK", b"a 1\n")) as (url, asked):
        assert fetch(url.replace("//", "//me:p%40ss@")) == "a 1\n"
    assert f"Authorization: Basic {base64.b64encode(b'me:p@ss').decode()}".encode() in asked[0]
    with (
        answering(http("401 Unauthorized")) as (url, _),
        pytest.raises(FetchError, match=r"^http://127\.0\.0\.1:\d+/metrics answered 401 Unauthorized$") as raised,
    ):
        fetch(url.replace("//", "//me:secret@"))
    assert raised.value.status == 401


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"", "can't be reached: "),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "can't be reached: "),
        (http("503 Service Unavailable"), "answered 503"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", "ends too early"),
        (http("302 Found", b"", b"Location: file:///etc/passwd"), "302|redirect"),
    ],
)
def test_a_bad_answer_is_one_sentence(answer: bytes, why: str) -> None:
    with answering(answer) as (url, _), pytest.raises(FetchError, match=why) as raised:
        fetch(url)
    assert "\n" not in str(raised.value)


def test_a_server_that_never_answers_is_left_after_the_deadline() -> None:
    with answering(b"", then_waits=True) as (url, _), pytest.raises(FetchError, match="did not answer in time"):
        fetch(url, deadline_s=0.1)


@pytest.mark.parametrize(
    ("begins", "drips"),
    [
        (b"HTTP/1.1 200 OK\r\nA: ", b"x"),
        (b"HTTP/1.1 100 Continue\r\n\r\n",) * 2,
        (http("200 OK", b"x" * 9999)[:99], b"x"),
    ],
)
def test_a_server_whose_answer_never_ends_is_left_after_the_deadline(begins: bytes, drips: bytes) -> None:
    with answering(begins, then_drips=drips) as (url, _), pytest.raises(FetchError, match="in time"):
        fetch(url, deadline_s=0.2)


def test_nobody_listening_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(FetchError, match="nothing listens there"):
        fetch(f"http://127.0.0.1:{port}/")


@pytest.mark.parametrize(
    "url",
    ["", "localhost:9400", "file:///etc/passwd", "http://", "http://[::1", "http://a:x/", "http://ä/", "http://a b"],
)
def test_what_is_no_url_of_http_is_refused(url: str) -> None:
    with pytest.raises(FetchError, match="is not a URL"):
        fetch(url)


@pytest.mark.parametrize(
    "url", ["http://me:hunt er2@a/", "ftp://me:hunter2@a/", "http://me:hunter2@a:x/", "http://me:hunter2/@a"]
)
def test_a_password_in_what_is_no_url_is_not_shown(url: str) -> None:
    with pytest.raises(FetchError, match="is not a URL") as raised:
        fetch(url)
    assert "er2" not in str(raised.value)
