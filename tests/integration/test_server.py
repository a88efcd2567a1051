import contextlib
import gzip
import os
import re
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
from exporter.server.endpoints import ScrapeCounts, Status
from exporter.server.listening import systemd_sockets
from tests.integration.serving import (
    LAST_SCRAPE,
    PATIENCE_S,
    SCRAPE,
    Exporter,
    Served,
    is_ended,
    read_to_end,
    running,
    serving,
)

PROMETHEUS = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"


# Scrapes.


def test_scrape_without_wishes_is_plain_text_004() -> None:
    with serving() as served:
        reply = served.ask("/metrics")
    assert (reply.status, reply.body) == (200, b"as text\n")
    assert reply.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert reply.headers["Content-Length"] == "8"
    assert reply.headers["Vary"] == "Accept, Accept-Encoding"


def test_prometheus_gets_openmetrics_compressed() -> None:
    with serving() as served:
        reply = served.ask("/metrics", Accept=PROMETHEUS, Accept_Encoding="gzip")
    assert reply.headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert reply.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(reply.body) == b"as OpenMetrics\n# EOF\n"
    assert reply.headers["Content-Length"] == str(len(reply.body))


def test_gzip_with_weight_zero_is_refused() -> None:
    with serving() as served:
        reply = served.ask("/metrics", Accept_Encoding="gzip;q=0")
    assert "Content-Encoding" not in reply.headers
    assert reply.body == b"as text\n"


@pytest.mark.parametrize("path", ["/metrics", "/health", "/", "/nowhere"])
def test_head_gives_the_headers_of_get_and_no_body(path: str) -> None:
    with serving() as served:
        get, head = served.ask(path), served.ask(path, "HEAD")
        alone = served.send(f"HEAD {path} HTTP/1.1\r\nConnection: close\r\n\r\n".encode())
    assert head.status == get.status
    assert {**head.headers, "Date": ""} == {**get.headers, "Date": ""}
    assert alone.endswith(b"\r\n\r\n")


def test_page_larger_than_the_kernel_takes_at_once_arrives_whole() -> None:
    page = os.urandom(1_500_000).hex().encode()
    with serving(exporter=Exporter(pages={Format.TEXT: page})) as served:
        assert served.ask("/metrics").body == page


def test_answer_names_no_software_and_no_etag() -> None:
    with serving() as served:
        headers = served.ask("/metrics").headers
    assert not {"Server", "ETag", "Etag"} & set(headers)
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", headers["Date"])


@pytest.mark.parametrize(
    "target", ["/metrics?collect=all", "http://node-1:9400/metrics", "http://node-1:9400/metrics?x"]
)
def test_query_and_origin_of_a_target_do_not_matter(target: str) -> None:
    with serving() as served:
        assert b"\r\n\r\nas text\n" in served.send(f"GET {target} HTTP/1.1\r\nConnection: close\r\n\r\n".encode())


def test_requests_on_one_connection_are_answered_in_order() -> None:
    with serving() as served:
        received = served.send(SCRAPE + b"GET /health HTTP/1.1\r\n\r\n" + LAST_SCRAPE)
    assert re.findall(rb"\r\n\r\n(.*)\n", received) == [b"as text", b"all GPUs are read", b"as text"]


@pytest.mark.parametrize(
    "request_text", ["GET /metrics HTTP/1.0\r\n\r\n", "GET /metrics HTTP/1.1\r\nConnection: close\r\n\r\n"]
)
def test_connection_ends_after_the_answer_where_the_client_says_so(request_text: str) -> None:
    with serving() as served, served.connect() as sock:
        sock.sendall(request_text.encode())
        assert read_to_end(sock).endswith(b"\r\n\r\nas text\n")


def test_small_request_body_is_ignored() -> None:
    with serving() as served:
        received = served.send(b"GET /metrics HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello" + LAST_SCRAPE)
    assert received.count(b"as text") == 2


# The other paths.


@pytest.mark.parametrize("path", ["/health", "/ready"])
def test_status_is_200_when_well_and_503_when_not(path: str) -> None:
    with serving() as served:
        well = served.ask(path)
        served.exporter.health = served.exporter.ready = Status(ok=False, text="GPU 3 has not been read")
        ill = served.ask(path)
    assert (well.status, ill.status) == (200, 503)
    assert ill.body == b"GPU 3 has not been read\n"
    assert ill.headers["Content-Type"] == "text/plain; charset=utf-8"


def test_links_of_the_landing_page_lead_somewhere() -> None:
    with serving() as served:
        page = served.ask("/")
        links = re.findall(r'href="([^"]+)"', page.body.decode())
        assert page.headers["Content-Type"] == "text/html; charset=utf-8"
        assert links == ["metrics", "health", "ready"]
        assert {served.ask(f"/{link}").status for link in links} == {200}


def test_landing_page_shows_the_version_escaped() -> None:
    with serving() as served:
        assert b"1.2.3 &lt;test&gt;" in served.ask("/").body


@pytest.mark.parametrize(
    "path", ["/nowhere", "/metrics/", "/Metrics", "//metrics", "/../etc/passwd", "/%6detrics", "*"]
)
def test_other_paths_are_not_found(path: str) -> None:
    with serving() as served:
        received = served.send(f"GET {path} HTTP/1.1\r\nConnection: close\r\n\r\n".encode())
    assert received.startswith(b"HTTP/1.1 404 Not Found\r\n")
    assert received.endswith(b"Not found; this exporter serves /metrics, /health, /ready, /.\n")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "get"])
def test_other_methods_are_refused_with_those_allowed(method: str) -> None:
    with serving() as served:
        reply = served.ask("/metrics", method)
    assert (reply.status, reply.headers["Allow"]) == (405, "GET, HEAD")
    assert reply.body == b"/metrics answers GET and HEAD only.\n"


# Trouble within.


@pytest.mark.parametrize("path", ["/metrics", "/health"])
def test_failure_is_one_sentence_to_the_client_and_one_report_in_the_log(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    with serving() as served:
        served.exporter.broken = "secret detail"
        failed = [served.ask(path) for _ in range(3)]
        served.exporter.broken = ""
        again = served.ask(path)
    assert {(reply.status, reply.body) for reply in failed} == {
        (500, f"{path} failed; the exporter's log says why.\n".encode())
    }
    assert again.status == 200
    assert len(caplog.records) == 1
    assert "secret detail" in caplog.text


def test_failure_that_comes_back_is_reported_again(caplog: pytest.LogCaptureFixture) -> None:
    with serving() as served:
        for broken in ("first", "", "second"):
            served.exporter.broken = broken
            served.ask("/metrics")
    assert len(caplog.records) == 2


def test_scrapes_are_counted_by_result_and_other_requests_are_not() -> None:
    with serving() as served:
        served.ask("/metrics")
        served.ask("/metrics", "HEAD")
        served.ask("/metrics", "POST")
        served.ask("/health")
        served.exporter.broken = "yes"
        served.ask("/metrics")
        assert served.server.counts == ScrapeCounts(ok=2, error=1, rejected=0)


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
from tests.integration.serving import Exporter
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
