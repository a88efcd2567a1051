import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.exposition import Format
from exporter.server.negotiation import accepts_gzip, negotiate_format

PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)

PROMETHEUS_3_WITH_PROTOBUF_FIRST = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,"
    "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)

PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8"


@pytest.mark.parametrize(
    "accept",
    [
        PROMETHEUS_3,
        PROMETHEUS_3_WITH_PROTOBUF_FIRST,
        PROMETHEUS_2,
        "application/openmetrics-text",
        "Application/OpenMetrics-Text; Version=1.0.0",
        'application/openmetrics-text; version="1.0.0"',
        "application/openmetrics-text;q=0.001",
        "text/plain;q=0.5, application/openmetrics-text;q=0.5",
        "text/plain;q=0.3, application/openmetrics-text;q=0.5, */*;q=0.9",
    ],
)
def test_openmetrics_goes_to_clients_that_name_it_and_like_text_no_better(accept: str) -> None:
    assert negotiate_format(accept) is Format.OPENMETRICS


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "*/*",
        BROWSER,
        "text/plain",
        "application/json",
        "application/*",
        "application/openmetrics-text;version=0.0.1",
        "application/openmetrics-text;version=2.0.0, text/plain;q=0.1",
        "application/openmetrics-text;q=0",
        "application/openmetrics-text;q=0.000, text/plain;q=0",
        "application/openmetrics-text;q=0.4, text/plain;q=0.5",
        "application/openmetrics-text;q=0.4, text/*;q=0.5",
        "application/openmetrics-text;q=0.4, */*",
        "application/openmetrics-text;q=1.5",
        "application/openmetrics-text;q=nan",
        "application/openmetrics-text;q=",
        "application/openmetrics-textual",
    ],
)
def test_everybody_else_gets_text(accept: str) -> None:
    assert negotiate_format(accept) is Format.TEXT


@pytest.mark.parametrize(
    "accept_encoding",
    ["gzip", "GZIP", "x-gzip", "deflate, gzip, br, zstd", "gzip;q=0.1", "*", "br;q=1.0, gzip;q=0.8, *;q=0.1"],
)
def test_gzip_goes_to_clients_that_accept_it(accept_encoding: str) -> None:
    assert accepts_gzip(accept_encoding)


@pytest.mark.parametrize(
    "accept_encoding",
    [
        "",
        "identity",
        "deflate, br",
        "gzip;q=0",
        "gzip;q=0.000",
        "gzip; q=0, *",
        "*;q=0",
        "gzip;q=0.5, identity;q=0.6",
        "gzip;q=high",
        "gzipped",
    ],
)
def test_nobody_else_gets_gzip(accept_encoding: str) -> None:
    assert not accepts_gzip(accept_encoding)


@given(st.text() | st.text(alphabet='*/;=,q.01 "gziptexplan-'))
def test_any_header_is_answered(header: str) -> None:
    assert negotiate_format(header) in Format
    assert accepts_gzip(header) in (True, False)


@given(st.integers(1, 1000), st.integers(0, 1000))
def test_of_two_weights_the_higher_decides(openmetrics: int, text: int) -> None:
    accept = f"text/plain;q={text / 1000:.3f}, application/openmetrics-text;q={openmetrics / 1000:.3f}"
    expected = Format.OPENMETRICS if openmetrics >= text else Format.TEXT
    assert negotiate_format(accept) is expected
