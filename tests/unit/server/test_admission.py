"""Who is answered, as clients see it: passwords, names in certificates, the rate limit. No path is exempt."""

import base64
import ssl
from collections.abc import Iterator
from http.client import HTTPSConnection

import pytest

from exporter.server.web_config.document import WebConfig
from exporter.server.web_config.rate_limit import RequestRate
from tests.unit.server.serving import Served, serving
from tests.unit.server.web_config.test_tls import REQUIRED, client
from tests.unit.server.web_config.writing import HASH, Files
from tests.waiting import PATIENCE_S

PATHS = ("/metrics", "/health", "/ready", "/", "/nothing", "http://other/metrics", "/metrics?a=b")


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.fixture
def guarded() -> Iterator[Served]:
    config = WebConfig(users={b"alice": HASH.encode()}, headers=(("X-Frame-Options", "deny"),))
    with serving(web=lambda: config) as served:
        yield served


def test_no_path_is_answered_without_a_password(guarded: Served) -> None:
    for path in PATHS:
        for method in ("GET", "HEAD", "POST", "OPTIONS"):
            reply = guarded.ask(path, method)
            assert (reply.status, reply.headers["Www-Authenticate"].split()[0]) == (401, "Basic")
            assert reply.body == (b"" if method == "HEAD" else b"Unauthorized\n")


def test_wrong_password_is_answered_as_none_is(guarded: Served) -> None:
    for wrong in ("alice:Password", "bob:password", "alice", "alice:", ":password"):
        assert guarded.ask("/metrics", Authorization=basic(wrong))[::2] == (401, b"Unauthorized\n")


def test_right_password_opens_every_path(guarded: Served) -> None:
    statuses = [guarded.ask(path, Authorization=basic("alice:password")).status for path in PATHS]
    assert statuses == [200, 200, 200, 200, 404, 200, 200]


def test_headers_stand_on_every_answer(guarded: Served) -> None:
    for headers in ({}, {"Authorization": basic("alice:password")}):
        assert guarded.ask("/metrics", **headers).headers["X-Frame-Options"] == "deny"


def test_policy_of_the_configuration_counts_on_the_page_for_people_too() -> None:
    config = WebConfig(headers=(("Content-Security-Policy", "sandbox"),))
    with serving(web=lambda: config) as served:
        assert served.ask("/").headers["Content-Security-Policy"] == "sandbox"
        config = WebConfig()
        assert served.ask("/").headers["Content-Security-Policy"].startswith("default-src 'none'")


def test_users_count_from_the_next_request_on() -> None:
    config = WebConfig()
    with serving(web=lambda: config) as served:
        assert served.ask("/metrics").status == 200
        config = WebConfig(users={b"alice": HASH.encode()})
        assert served.ask("/metrics").status == 401


def test_requests_beyond_the_rate_are_refused() -> None:
    config = WebConfig(rate_limit=RequestRate(interval_s=3600.0, burst=3))
    with serving(web=lambda: config) as served:
        replies = [served.ask(path) for path in ("/metrics", "/health", "/", "/metrics")]
        assert [reply.status for reply in replies] == [200, 200, 200, 429]
        assert replies[-1].body == b"Too Many Requests\n"
        config = WebConfig()
        assert served.ask("/metrics").status == 200


def test_certificate_needs_an_allowed_name(files: Files) -> None:
    names = "  client_allowed_sans: [prometheus, 'spiffe://x/y']\n"
    config = files.read_tls(REQUIRED.format(files.authority.certificate) + names)
    known = files.authority.issue("known", "DNS:other,URI:spiffe://x/y")
    stranger = files.authority.issue("stranger", "DNS:other,DNS:prometheus.example")
    with serving(web=lambda: config) as served:
        assert status(served, client(files, known)) == 200
        assert status(served, client(files, stranger)) == 403


def status(served: Served, context: ssl.SSLContext) -> int:
    connection = HTTPSConnection("localhost", served.port, timeout=PATIENCE_S, context=context)
    connection.request("GET", "/metrics")
    with connection.getresponse() as response:
        found = response.status
    connection.close()
    return found
