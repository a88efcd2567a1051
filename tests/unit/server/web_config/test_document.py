"""What a web configuration file may ask for, and what is refused: one sentence that names file and key."""

import os
import ssl
from contextlib import suppress
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import ConfigError
from exporter.server.web_config.document import WebConfig, read_web_config
from exporter.server.web_config.files import FilesRead
from exporter.server.web_config.rate_limit import RequestRate
from tests.unit.server.web_config.writing import HASH, Files


def test_paths_are_relative_to_the_file(files: Files) -> None:
    for name, path in (("cert.pem", files.server.certificate), ("key.pem", files.server.key)):
        (files.folder / name).write_bytes(path.read_bytes())
    assert files.read("tls_server_config: {cert_file: cert.pem, key_file: key.pem}").tls is not None


def test_certificate_key_and_authority_may_stand_in_the_file_itself(files: Files) -> None:
    found = files.read_tls(
        f"  client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: {files.authority.certificate}"
    )
    assert found.tls is not None
    paths = {"cert": files.server.certificate, "key": files.server.key, "client_ca": files.authority.certificate}
    lines = [
        f"  {key}: |\n    {path.read_text().strip().replace(chr(10), chr(10) + '    ')}\n"
        for key, path in paths.items()
    ]
    inline = files.read("tls_server_config:\n  client_auth_type: RequireAndVerifyClientCert\n" + "".join(lines))
    assert inline.tls is not None
    assert inline.tls.verify_mode is ssl.CERT_REQUIRED


def test_every_section_is_kept(files: Files) -> None:
    headers = "Strict-Transport-Security: max-age=9; preload\n    X-XSS-Protection: 1\n    X-Frame-Options: ''"
    found = files.read(
        f"http_server_config:\n  http2: false\n  headers:\n    {headers}\n"
        f"basic_auth_users: {{alice: {HASH}, bjö: {HASH}}}\nrate_limit: {{interval: 1m30s, burst: 20}}\n"
    )
    assert found == WebConfig(
        headers=(("X-XSS-Protection", "1"), ("Strict-Transport-Security", "max-age=9; preload")),
        users={b"alice": HASH.encode(), "bjö".encode(): HASH.encode()},
        rate_limit=RequestRate(90.0, 20),
    )


@pytest.mark.parametrize("limit", ["{}", "{interval: 0}", "{interval: 0, burst: 0}", "{interval: 0s}"])
def test_an_interval_of_0_is_no_rate_limit(files: Files, limit: str) -> None:
    assert files.read(f"rate_limit: {limit}") == WebConfig()


DOCUMENTS = {
    "": "is empty; expected a mapping of keys and values",
    "tls_server_config:": "tls_server_config: is empty; expected a mapping",
    "tls_config: {}": "unknown key 'tls_config'; expected tls_server_config, http_server_config, ",
    "tls_server_config: {cert_filse: x}": "tls_server_config: unknown key 'cert_filse'; expected cert, key, ",
    "1: {}": "unknown key 1; ",
    "tls_server_config: {}": "tls_server_config.cert_file: is missing; TLS needs it, or cert with the PEM text",
    "tls_server_config: {cert_file: x, cert: y}": "tls_server_config.cert: and cert_file are both given; keep one of ",
    "rate_limit: {interval: 5}": "rate_limit.interval: is not a duration; write it as 1s, or 0 for none",
    "rate_limit: {interval: 1s}": "rate_limit.burst: is below 1, so no request would be answered",
    "rate_limit: {interval: -1s, burst: 1}": "rate_limit.interval: is not a duration; ",
    "rate_limit: {interval: 1s, burst: true}": "rate_limit.burst: is True; expected a whole number",
    "http_server_config: {http2: true}": "http_server_config.http2: true is not supported: this server speaks only ",
    "http_server_config: {http2: 1}": "http_server_config.http2: is 1; expected true or false",
    "http_server_config: {headers: {Server: x}}": "http_server_config.headers: unknown key 'Server'; expected ",
    "http_server_config: {headers: {X-Frame-Options: x}}": (
        "http_server_config.headers.X-Frame-Options: is 'x'; expected deny or sameorigin"
    ),
    'http_server_config: {headers: {X-XSS-Protection: "a\\r\\nb: c"}}': (
        "http_server_config.headers.X-XSS-Protection: is 'a\\r\\nb: c', which is not a valid header value"
    ),
    "basic_auth_users:": "basic_auth_users: is empty; expected a mapping",
    "basic_auth_users: {}": "basic_auth_users: is empty; name a user, or remove the key to allow",
    "basic_auth_users: {ann: secret}": "basic_auth_users: the password of 'ann' is not a bcrypt hash; create ",
    "basic_auth_users: {ann: 1}": "basic_auth_users: the password of 'ann' is not a bcrypt hash; ",
    f"basic_auth_users: {{1: {HASH}}}": "basic_auth_users: 1 is not a valid name; a name is a string without a colon",
    f"basic_auth_users: {{'a:b': {HASH}}}": "basic_auth_users: a name contains a colon; ",
    f"basic_auth_users: {{ann: {HASH[:-1]}}}": "basic_auth_users: the password of 'ann' is not a bcrypt hash; ",
    f"basic_auth_users: {{ann: $2y$31${HASH[7:]}}}": (
        "basic_auth_users: the password of 'ann' has a cost of 31; the highest allowed is 18"
    ),
}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_document_that_asks_for_what_can_not_be_kept_is_refused(files: Files, document: str) -> None:
    assert files.refused(lambda: files.read(document)).startswith(DOCUMENTS[document])


TLS = {
    "client_auth_type: RequestClientCert": "tls_server_config.client_auth_type: RequestClientCert is not supported: ",
    "client_auth_type: RequireAnyClientCert": "tls_server_config.client_auth_type: RequireAnyClientCert is not ",
    "client_auth_type: x": "tls_server_config.client_auth_type: is 'x'; expected one of NoClientCert, ",
    "client_auth_type: RequireAndVerifyClientCert": (
        "tls_server_config.client_ca_file: is missing; without it any certificate of a public CA would be accepted"
    ),
    "client_allowed_sans: [a]": "tls_server_config.client_auth_type: does not ask for certificates, but ",
    "client_allowed_sans: a": "tls_server_config.client_allowed_sans: is 'a'; expected a list of strings",
    "min_version: TLS11": "tls_server_config.min_version: TLS11 is not supported: it is broken (RFC 8996), ",
    "max_version: TLS14": "tls_server_config.max_version: is 'TLS14'; expected one of TLS12, TLS13",
    "min_version: TLS13\n  max_version: TLS12": "tls_server_config.max_version: is below min_version",
    "cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]": (
        "tls_server_config.cipher_suites: has 'TLS_RSA_WITH_RC4_128_SHA', which is not one of Go's secure "
    ),
    "cipher_suites: [TLS_AES_128_GCM_SHA256]": "tls_server_config.cipher_suites: has none for TLS 1.2; ",
    "curve_preferences: [CurveP257]": "tls_server_config.curve_preferences: has 'CurveP257'; expected ",
    "prefer_server_cipher_suites: yess": "tls_server_config.prefer_server_cipher_suites: is 'yess'; expected true or ",
}


@pytest.mark.parametrize("keys", TLS)
def test_tls_that_can_not_be_kept_is_refused(files: Files, keys: str) -> None:
    assert files.refused(lambda: files.read_tls(f"  {keys}")).startswith(TLS[keys])


def test_duplicate_key_is_refused(files: Files) -> None:
    assert "the key 'min_version' is repeated" in files.refused(
        lambda: files.read_tls("  min_version: TLS12\n  min_version: TLS13")
    )


def test_no_error_shows_a_password(files: Files) -> None:
    for users in ("ann:hunter2", "[ann:hunter2]", "{'ann:hunter2': x}", "{ann: hunter2}", "{ann:hunter2}"):
        assert "hunter2" not in files.refused(partial(files.read, f"basic_auth_users: {users}"))


def test_file_that_is_none_is_refused(files: Files) -> None:
    os.mkfifo(files.folder / "pipe")
    (files.folder / "large").touch()
    os.truncate(files.folder / "large", 10**9)
    for name, why in {
        "nothing": "can't read the PEM file: No such file or directory",
        ".": "it is not a regular file; give the path of a PEM file",
        "pipe": "it is not a regular file; give the path of a PEM file",
        "large": "a PEM file may have at most 1 MiB",
        '"a\\0b"': "can't read the PEM file: its name contains a NUL",
    }.items():
        sentence = files.refused(partial(files.read, f"tls_server_config: {{cert: x, key_file: {name}}}"))
        assert sentence.startswith("tls_server_config.key_file: FOLDER")
        assert sentence.endswith(why)


@given(st.text(), st.integers(0, 200))
def test_any_text_is_read_or_refused_in_a_sentence(files: Files, text: str, cut: int) -> None:
    whole = f"http_server_config: {{headers: {{X-XSS-Protection: 1}}}}\nbasic_auth_users: {{ann: {HASH}}}\n"
    for content in (text, whole[:cut] + text):
        path = files.folder / "any.yml"
        path.write_text(content, encoding="utf-8", errors="replace")
        with suppress(ConfigError):
            read_web_config(str(path), FilesRead())
