import gzip
import os
import re

import pytest

from exporter.exposition import Format
from exporter.server.endpoints import Health, ScrapeCounts
from tests.unit.server.serving import (
    LAST_SCRAPE,
    SCRAPE,
    Exporter,
    honest_scrape_works,
    read_to_end,
    serving,
)

PROMETHEUS = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"


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
        alone = served.send(f"HEAD {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n".encode())
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
        assert b"\r\n\r\nas text\n" in served.send(
            f"GET {target} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n".encode()
        )


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", None),
        ("?name=A", None),
        ("?name[]=", None),
        ("?name[]=A", {"A"}),
        ("?name[]=A&name[]=B&x=1&name[]=A", {"A", "B"}),
        ("?name%5B%5D=A%5F1", {"A_1"}),
        ("?name[]=%FF%00", {"\ufffd\x00"}),
        ("?name[]=A,B;C", {"A,B;C"}),
    ],
)
def test_scrape_asks_for_names_as_of_prometheus_clients_server(query: str, names: set[str] | None) -> None:
    with serving() as served:
        for method in ("GET", "HEAD"):
            assert served.ask(f"/metrics{query}", method).status == 200
        assert served.exporter.asked == [names, names]


def test_hundred_thousand_names_are_refused_and_the_next_scrape_is_answered() -> None:
    with serving() as served:
        asked = "&".join(f"name[]={n}" for n in range(100_000))
        received = served.send(f"GET /metrics?{asked} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
        assert received.startswith(b"HTTP/1.1 431 ")
        assert honest_scrape_works(served)


def test_requests_on_one_connection_are_answered_in_order() -> None:
    with serving() as served:
        received = served.send(SCRAPE + b"GET /health HTTP/1.1\r\nHost: test\r\n\r\n" + LAST_SCRAPE)
    assert re.findall(rb"\r\n\r\n(.*)\n", received) == [b"as text", b"all GPUs are read", b"as text"]


@pytest.mark.parametrize(
    "request_text",
    ["GET /metrics HTTP/1.0\r\n\r\n", "GET /metrics HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"],
)
def test_connection_ends_after_the_answer_where_the_client_says_so(request_text: str) -> None:
    with serving() as served, served.connect() as sock:
        sock.sendall(request_text.encode())
        assert read_to_end(sock).endswith(b"\r\n\r\nas text\n")


def test_small_request_body_is_ignored() -> None:
    with serving() as served:
        received = served.send(b"GET /metrics HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello" + LAST_SCRAPE)
    assert received.count(b"as text") == 2


@pytest.mark.parametrize("path", ["/health", "/ready"])
def test_status_is_200_when_well_and_503_when_not(path: str) -> None:
    with serving() as served:
        well = served.ask(path)
        served.exporter.health = served.exporter.ready = Health(ok=False, text="GPU 3 has not been read")
        ill = served.ask(path)
    assert (well.status, ill.status) == (200, 503)
    assert ill.body == b"GPU 3 has not been read\n"
    assert ill.headers["Content-Type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize(
    "path", ["/nowhere", "/metrics/", "/Metrics", "//metrics", "/../etc/passwd", "/%6detrics", "*"]
)
def test_other_paths_are_not_found(path: str) -> None:
    with serving() as served:
        received = served.send(f"GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n".encode())
    assert received.startswith(b"HTTP/1.1 404 Not Found\r\n")
    assert received.endswith(b"Not found; this exporter serves /metrics, /health, /ready, /.\n")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "get"])
def test_other_methods_are_refused_with_those_allowed(method: str) -> None:
    with serving() as served:
        reply = served.ask("/metrics", method)
    assert (reply.status, reply.headers["Allow"]) == (405, "GET, HEAD")
    assert reply.body == b"/metrics accepts only GET and HEAD.\n"


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
        (500, f"{path} failed; see the exporter's log.\n".encode())
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
