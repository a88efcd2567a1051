"""TLS as the web configuration file asks for it, made of Python's ssl; names are Go's."""

import os
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from exporter.errors import ConfigError
from exporter.server.web_config.curves import choose_curves

CLIENT_CERTIFICATES = {
    "": ssl.CERT_NONE,
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
CIPHERS = {
    f"TLS_{exchange.replace('-', '_')}_WITH_{go_name}": f"{exchange}-{name}"
    for exchange in ("ECDHE-ECDSA", "ECDHE-RSA")
    for go_name, name in (
        ("AES_128_CBC_SHA", "AES128-SHA"),
        ("AES_256_CBC_SHA", "AES256-SHA"),
        ("AES_128_GCM_SHA256", "AES128-GCM-SHA256"),
        ("AES_256_GCM_SHA384", "AES256-GCM-SHA384"),
        ("CHACHA20_POLY1305_SHA256", "CHACHA20-POLY1305"),
    )
}
"""OpenSSL's names of the cipher suites up to TLS 1.2, by Go's: those of its CipherSuites()."""

TLS13_CIPHERS = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
"""Suites of TLS 1.3. Neither Go nor Python can select among them: all are always on."""

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_KINDS_OF_NAMES = frozenset({"DNS", "email", "URI"})
_NO_ADDRESS = "<invalid>"
"""What Python prints for an address that has neither 4 nor 16 bytes."""

_EXPIRED = 10  # X509_V_ERR_CERT_HAS_EXPIRED
_MOST_ROUNDS = 10


@dataclass(frozen=True, slots=True)
class Pem:
    """Certificates or a key in PEM form; `place` is what errors call them."""

    place: str
    content: bytes

    def text(self) -> str:
        """Return it as text; what is not text is not PEM either."""
        return self.content.decode("ascii", "replace")


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """What TLS is made of. Ciphers and curves have OpenSSL's names; none are its usual ones. `place` is for errors."""

    place: str
    certificate: Pem
    key: Pem
    client_ca: Pem | None = None
    client_certificates: ssl.VerifyMode = ssl.CERT_NONE
    versions: tuple[ssl.TLSVersion, ssl.TLSVersion] = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
    ciphers: tuple[str, ...] = ()
    curves: tuple[str, ...] = ()
    prefers_own_ciphers: bool = True


def server_context(settings: TlsSettings) -> ssl.SSLContext:
    """Make the context of a server, and try it: a handshake with it succeeds.

    Raises:
        ConfigError: names what can't be used, and why.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version, context.maximum_version = settings.versions
    context.set_alpn_protocols(["http/1.1"])
    _load_certificate(context, settings.certificate, settings.key)
    if settings.ciphers:
        _choose_ciphers(context, settings)
    if settings.curves and not choose_curves(context, settings.curves):
        raise ConfigError(f"{settings.place}.curve_preferences: not supported by this machine's Python and OpenSSL")
    if not settings.prefers_own_ciphers:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    _try_handshake(context, settings)
    _load_client_ca(context, settings.client_ca)
    context.verify_mode = settings.client_certificates
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # as in Go: everything in client_ca is trusted
    return context


def names_of(certificate: Any) -> set[str]:
    """Return the alternative names of a certificate that Python has parsed: those that Go knows, as Go writes them."""
    names = (certificate or {}).get("subjectAltName", ())
    addresses = {str(ip_address(name)) for kind, name in names if kind == "IP Address" and name != _NO_ADDRESS}
    return addresses | {name for kind, name in names if kind in _KINDS_OF_NAMES}


def _load_certificate(context: ssl.SSLContext, certificate: Pem, key: Pem) -> None:
    first = _CERTIFICATE.search(certificate.text())
    if first is None or not _is_certificate(first[0]):
        raise ConfigError(f"{certificate.place}: it is not a certificate in PEM format")

    def refuse_password() -> str:
        raise ConfigError(f"{key.place}: the key is encrypted; use one without a password")

    try:
        with _as_file(certificate.content) as certificate_path, _as_file(key.content) as key_path:
            context.load_cert_chain(certificate_path, key_path, refuse_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ConfigError(f"{key.place}: the key does not belong to {certificate.place}") from None
        if error.reason in (None, "PEM_LIB") or "-----BEGIN" not in key.text():
            raise ConfigError(f"{key.place}: it is not a private key in PEM format") from None
        raise ConfigError(f"{certificate.place}: it can't be used: {_reason(error)}") from None


def _is_certificate(pem: str) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(cadata=pem)
    except (ssl.SSLError, ValueError):
        return False
    return True


@contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """Give bytes a path, as ssl reads keys from files alone; they stay in memory, and are gone afterwards."""
    with os.fdopen(os.memfd_create("pem", os.MFD_CLOEXEC), "wb") as file:
        file.write(content)
        file.flush()
        yield f"/proc/self/fd/{file.fileno()}"


def _load_client_ca(context: ssl.SSLContext, ca: Pem | None) -> None:
    if ca is None:
        context.load_default_certs(ssl.Purpose.CLIENT_AUTH)  # as in Go: those whom the machine trusts
        return
    try:
        context.load_verify_locations(cadata="\n".join(_CERTIFICATE.findall(ca.text())))
    except (ssl.SSLError, ValueError):
        raise ConfigError(f"{ca.place}: it contains no certificate in PEM format") from None


def _choose_ciphers(context: ssl.SSLContext, settings: TlsSettings) -> None:
    try:
        context.set_ciphers(":".join(settings.ciphers))
    except ssl.SSLError:
        known = set()
    else:
        known = {cipher["name"] for cipher in context.get_ciphers()}
    missing = [name for name in settings.ciphers if name not in known]
    if missing:
        raise ConfigError(f"{settings.place}.cipher_suites: this machine's OpenSSL does not support {missing[0]}")


def _try_handshake(context: ssl.SSLContext, settings: TlsSettings) -> None:
    """Shake hands with a client in memory, which trusts the certificate and takes whatever is offered."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    first = _CERTIFICATE.search(settings.certificate.text())
    client.load_verify_locations(cadata=first[0] if first else "")
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server),
        context.wrap_bio(to_server, to_client, server_side=True),
    ]
    try:
        for _ in range(_MOST_ROUNDS):
            ends = [end for end in ends if not _has_shaken_hands(end)]
    except ssl.SSLCertVerificationError as error:
        if error.verify_code == _EXPIRED:
            raise ConfigError(f"{settings.certificate.place}: the certificate has expired") from None
    except ssl.SSLError as error:
        raise ConfigError(
            f"{settings.place}: no client can connect with this certificate, these versions and these cipher suites"
            f" ({_reason(error)})"
        ) from None


def _has_shaken_hands(end: ssl.SSLObject) -> bool:
    try:
        end.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True


def _reason(error: ssl.SSLError) -> str:
    return (error.reason or "unknown reason").replace("_", " ").lower()
