"""The web configuration file: reads and checks it and the files that it names."""

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from exporter.errors import ConfigError, describe
from exporter.go_values import parse_duration
from exporter.server.web_config import tls
from exporter.server.web_config.curves import CURVES
from exporter.server.web_config.files import FilesRead
from exporter.server.web_config.passwords import HASH, MOST_COST, Users
from exporter.server.web_config.rate_limit import RequestRate
from exporter.server.web_config.section import ConfigSection
from exporter.strict_yaml import load_mapping
from exporter.user_file import text_of

WHAT = "web configuration file"

_HEADERS: Mapping[str, tuple[str, ...]] = {
    "Content-Security-Policy": (),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-Content-Type-Options": ("nosniff",),
    "X-XSS-Protection": (),
    "Strict-Transport-Security": (),
}
"""The headers that may be set, with the allowed values where they are limited."""

_SECTIONS = ("tls_server_config", "http_server_config", "basic_auth_users", "rate_limit")
_TLS_KEYS = (
    "cert",
    "key",
    "client_ca",
    "cert_file",
    "key_file",
    "client_ca_file",
    "client_auth_type",
    "client_allowed_sans",
    "min_version",
    "max_version",
    "cipher_suites",
    "curve_preferences",
    "prefer_server_cipher_suites",
)
_UNVERIFIED = ("RequestClientCert", "RequireAnyClientCert", "RequireClientCert")
_HEADER_VALUE = re.compile(r"[\x20-\x7e]*")


@dataclass(frozen=True, slots=True)
class WebConfig:
    """What the file asks of the server; nothing without a file.

    `client_names` are the alternative names of which a client's certificate needs one; None accepts any certificate.
    `users` is empty if no password is needed.
    """

    tls: ssl.SSLContext | None = None
    client_names: frozenset[str] | None = None
    headers: tuple[tuple[str, str], ...] = ()
    users: Users = field(default_factory=dict)
    rate_limit: RequestRate | None = None


def read_web_config(path: str, files: FilesRead) -> WebConfig:
    """Read a web configuration file and the files that it names; their paths are relative to its folder.

    Raises:
        ConfigError: names the file and the key that is wrong or not supported.
    """
    document = _document(path, files)
    tls_section = document.section("tls_server_config", _TLS_KEYS)
    names = tls_section.texts("client_allowed_sans")
    return WebConfig(
        tls=_tls(tls_section, Path(path).parent, files) if "tls_server_config" in document else None,
        client_names=frozenset(names) if "client_allowed_sans" in tls_section else None,
        headers=_headers(document.section("http_server_config", ("http2", "headers"))),
        users=_users(document) if "basic_auth_users" in document else {},
        rate_limit=_rate_limit(document.section("rate_limit", ("interval", "burst"))),
    )


def has_tls(path: str) -> bool:
    """Tell whether a web configuration file asks for TLS; of what it names nothing is read.

    Raises:
        ConfigError: It can't be read, or is no such file.
    """
    return "tls_server_config" in _document(path, FilesRead())


def _document(path: str, files: FilesRead) -> ConfigSection:
    return ConfigSection((path,), load_mapping(text_of(files.read(Path(path), WHAT), path), path), _SECTIONS)


def _tls(section: ConfigSection, folder: Path, files: FilesRead) -> ssl.SSLContext:
    certificate, key = (_pem(section, name, folder, files) for name in ("cert", "key"))
    if certificate is None or key is None:
        missing = "cert" if certificate is None else "key"
        section.refuse(f"{missing}_file", f"is missing; TLS needs it, or {missing} with the PEM text")
    client_ca = _pem(section, "client_ca", folder, files)
    settings = tls.TlsSettings(
        place=section.place(),
        certificate=certificate,
        key=key,
        client_ca=client_ca,
        client_certificates=_client_certificates(section, has_ca=client_ca is not None),
        versions=_versions(section),
        ciphers=_ciphers(section),
        curves=_curves(section),
        prefers_own_ciphers=section.switch("prefer_server_cipher_suites", default=True),
    )
    return tls.server_context(settings)


def _pem(section: ConfigSection, name: str, folder: Path, files: FilesRead) -> tls.Pem | None:
    """Return the PEM text at a key, or of the file that the key with _file names; None if neither is given."""
    text, file = section.text(name), section.text(f"{name}_file")
    if text and file:
        section.refuse(name, f"and {name}_file are both given; keep one of them")
    if text:
        return tls.Pem(section.place(name), text.encode())
    if not file:
        return None
    path = folder / file
    try:
        return tls.Pem(f"{section.place(f'{name}_file')}: {path}", files.read(path, "PEM file"))
    except ConfigError as error:
        section.refuse(f"{name}_file", str(error))


def _client_certificates(section: ConfigSection, *, has_ca: bool) -> ssl.VerifyMode:
    kind = section.text("client_auth_type")
    if kind in _UNVERIFIED:
        section.refuse(
            "client_auth_type",
            f"{kind} is not supported: OpenSSL verifies every certificate that it accepts;"
            " use RequireAndVerifyClientCert",
        )
    if kind not in tls.CLIENT_CERTIFICATES:
        section.refuse(
            "client_auth_type",
            f"is {describe(kind)}; expected one of {', '.join(filter(None, tls.CLIENT_CERTIFICATES))}",
        )
    mode = tls.CLIENT_CERTIFICATES[kind]
    if mode is ssl.CERT_NONE and (has_ca or "client_allowed_sans" in section):
        section.refuse(
            "client_auth_type", "does not ask for certificates, but client_ca or client_allowed_sans is given"
        )
    if mode is ssl.CERT_REQUIRED and not has_ca:
        section.refuse("client_ca_file", "is missing; without it any certificate of a public CA would be accepted")
    return mode


def _versions(section: ConfigSection) -> tuple[ssl.TLSVersion, ssl.TLSVersion]:
    lowest, highest = (
        _version(section, key, usual) for key, usual in (("min_version", "TLS12"), ("max_version", "TLS13"))
    )
    if lowest > highest:
        section.refuse("max_version", "is below min_version")
    return lowest, highest


def _version(section: ConfigSection, key: str, usual: str) -> ssl.TLSVersion:
    name = section.text(key) or usual
    if name in ("TLS10", "TLS11"):
        section.refuse(
            key, f"{name} is not supported: it is broken (RFC 8996), and OpenSSL no longer speaks it; use TLS12"
        )
    if name not in tls.VERSIONS:
        section.refuse(key, f"is {describe(name)}; expected one of {', '.join(tls.VERSIONS)}")
    return tls.VERSIONS[name]


def _ciphers(section: ConfigSection) -> tuple[str, ...]:
    names = section.texts("cipher_suites")
    for name in names:
        if name not in (*tls.CIPHERS, *tls.TLS13_CIPHERS):
            section.refuse("cipher_suites", f"has {describe(name)}, which is not one of Go's secure cipher suites")
    chosen = tuple(tls.CIPHERS[name] for name in names if name in tls.CIPHERS)
    if names and not chosen and _versions(section)[0] < ssl.TLSVersion.TLSv1_3:
        section.refuse("cipher_suites", "has none for TLS 1.2; add one, or set min_version: TLS13")
    return chosen


def _curves(section: ConfigSection) -> tuple[str, ...]:
    names = section.texts("curve_preferences")
    for name in names:
        if name not in CURVES:
            section.refuse("curve_preferences", f"has {describe(name)}; expected {', '.join(CURVES)}")
    return tuple(CURVES[name] for name in names)


def _headers(section: ConfigSection) -> tuple[tuple[str, str], ...]:
    if section.switch("http2", default=False):
        section.refuse("http2", "true is not supported: this server speaks only HTTP/1.1; use false or leave it out")
    found = section.section("headers", tuple(_HEADERS))
    values = {name: found.text_or_number(name) for name in _HEADERS}
    for name, value in values.items():
        allowed = _HEADERS[name]
        if value and allowed and value not in allowed:
            found.refuse(name, f"is {describe(value)}; expected {' or '.join(allowed)}")
        if not _HEADER_VALUE.fullmatch(value):
            found.refuse(name, f"is {describe(value)}, which is not a valid header value")
    return tuple((name, value) for name, value in values.items() if value)


def _users(document: ConfigSection) -> Users:
    users = {}
    for name, hashed in document.mapping("basic_auth_users").items():
        if isinstance(name, str) and ":" in name:
            document.refuse("basic_auth_users", "a name contains a colon; write a space between the colon and the hash")
        if not isinstance(name, str) or not name:
            document.refuse(
                "basic_auth_users", f"{describe(name)} is not a valid name; a name is a string without a colon"
            )
        match = HASH.fullmatch(hashed.encode()) if isinstance(hashed, str) else None
        place = f"the password of {describe(name)}"
        if match is None:
            document.refuse("basic_auth_users", f'{place} is not a bcrypt hash; create one with htpasswd -nBC 10 ""')
        if int(match["cost"]) > MOST_COST:
            document.refuse(
                "basic_auth_users", f"{place} has a cost of {int(match['cost'])}; the highest allowed is {MOST_COST}"
            )
        users[name.encode()] = hashed.encode()
    if not users:
        document.refuse(
            "basic_auth_users", "is empty; name a user, or remove the key to allow access without a password"
        )
    return users


def _rate_limit(section: ConfigSection) -> RequestRate | None:
    try:
        interval_s = parse_duration(section.text_or_number("interval") or "0")
    except ValueError:
        section.refuse("interval", "is not a duration; write it as 1s, or 0 for none")
    burst = section.number("burst")
    if interval_s == 0:
        return None
    if burst < 1:
        section.refuse("burst", "is below 1, so no request would be answered")
    return RequestRate(interval_s, burst)
