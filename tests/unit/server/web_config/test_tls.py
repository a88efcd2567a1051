"""TLS as clients meet it: whom it lets in, and with which versions, cipher suites and curves."""

import ssl
import subprocess
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import pytest

from exporter.server.web_config.tls import CIPHERS, names_of
from tests.certificates import Identity
from tests.unit.server.web_config.writing import Files

REQUIRED = "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: {}\n"


def shake_hands(client: ssl.SSLContext, server: ssl.SSLContext) -> ssl.SSLObject:
    """Connect a client in memory; returns the server's end. An end that fails raises its error."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(to_client, to_server, server_hostname="localhost"),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    waiting: Iterable[ssl.SSLObject] = ends
    for _ in range(5):
        waiting = [end for end in waiting if not is_done(end)]
    assert not waiting
    return ends[1]


def is_done(end: ssl.SSLObject) -> bool:
    try:
        end.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True


def client(files: Files, identity: Identity | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=files.authority.certificate)
    if identity is not None:
        context.load_cert_chain(identity.certificate, identity.key)
    return context


def served(files: Files, more: str = "") -> ssl.SSLContext:
    context = files.read_tls(more).tls
    assert context is not None
    return context


def test_client_that_trusts_the_authority_connects(files: Files) -> None:
    assert shake_hands(client(files), served(files)).version() == "TLSv1.3"


def test_versions_are_kept(files: Files) -> None:
    assert shake_hands(client(files), served(files, "  max_version: TLS12\n")).version() == "TLSv1.2"
    old = client(files)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        shake_hands(old, served(files, "  min_version: TLS13\n"))


def test_every_cipher_suite_of_go_s_is_known_to_openssl(files: Files) -> None:
    found = served(files, f"  cipher_suites: [{', '.join(CIPHERS)}]\n")
    assert set(CIPHERS.values()) <= {cipher["name"] for cipher in found.get_ciphers()}


def test_order_of_cipher_suites_is_the_server_s_unless_it_leaves_it_to_clients(files: Files) -> None:
    names = {
        "ECDHE-ECDSA-AES256-GCM-SHA384": "AES_256_GCM_SHA384",
        "ECDHE-ECDSA-AES128-GCM-SHA256": "AES_128_GCM_SHA256",
    }
    suites = ", ".join(f"TLS_ECDHE_ECDSA_WITH_{name}" for name in names.values())
    theirs = client(files)
    theirs.maximum_version = ssl.TLSVersion.TLSv1_2
    theirs.set_ciphers(":".join(reversed(names)))
    for more, expected in (("", next(iter(names))), ("  prefer_server_cipher_suites: false\n", next(reversed(names)))):
        cipher = shake_hands(theirs, served(files, f"  cipher_suites: [{suites}]\n{more}")).cipher()
        assert cipher is not None
        assert cipher[0] == expected


def test_client_without_a_certificate_is_refused_where_one_is_required(files: Files) -> None:
    context = served(files, REQUIRED.format(files.authority.certificate))
    with pytest.raises(ssl.SSLError, match="PEER_DID_NOT_RETURN_A_CERTIFICATE"):
        shake_hands(client(files), context)
    known = files.authority.issue("prometheus", "DNS:prometheus,IP:::1,email:a@b.c,URI:spiffe://x/y")
    found = shake_hands(client(files, known), context).getpeercert()
    assert names_of(found) == {"prometheus", "::1", "a@b.c", "spiffe://x/y"}


def test_names_of_other_kinds_are_none() -> None:
    kinds = (("Registered ID", "10.0.0.1"), ("othername", "<unsupported>"), ("DirName", ((("commonName", "a"),),)))
    assert names_of({"subjectAltName": (*kinds, ("IP Address", "<invalid>"), ("DNS", "b"))}) == {"b"}


def test_certificate_of_a_stranger_or_of_the_past_is_refused(files: Files, tmp_path: Path) -> None:
    stranger = type(files.authority)(tmp_path / "other").issue("prometheus")
    old = files.authority.issue_expired("old-client")
    for kind in ("RequireAndVerifyClientCert", "VerifyClientCertIfGiven"):
        context = served(files, f"  client_auth_type: {kind}\n  client_ca_file: {files.authority.certificate}\n")
        for identity in (stranger, old):
            with pytest.raises(ssl.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
                shake_hands(client(files, identity), context)


def test_certificate_that_is_not_required_may_be_missing(files: Files) -> None:
    context = served(
        files, f"  client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: {files.authority.certificate}\n"
    )
    assert names_of(shake_hands(client(files), context).getpeercert()) == set()


def test_certificate_that_is_its_own_authority_lets_its_owner_in_as_with_go(files: Files) -> None:
    known = files.authority.issue("own")
    context = served(files, REQUIRED.format(known.certificate))
    assert shake_hands(client(files, known), context).getpeercert()


def test_bad_certificates_and_keys_are_refused(files: Files, tmp_path: Path) -> None:
    other, old = files.authority.issue("other"), files.authority.issue_expired("old")
    half, junk, encrypted = tmp_path / "half", tmp_path / "junk", tmp_path / "encrypted"
    half.write_bytes(files.server.certificate.read_bytes()[:300])
    junk.write_bytes(b"\x00\xff")
    encrypt = ("openssl", "pkey", "-aes256", "-passout", "pass:x", "-in", str(other.key), "-out", str(encrypted))
    subprocess.run(encrypt, check=True)
    for identity, why in (
        (Identity(files.server.certificate, other.key), "server.pem"),
        (Identity(half, files.server.key), "half: it is not a certificate in PEM format"),
        (Identity(junk, files.server.key), "junk: it is not a certificate in PEM format"),
        (Identity(files.server.certificate, junk), "junk: it is not a private key in PEM format"),
        (Identity(files.server.certificate, half), "half: it is not a private key in PEM format"),
        (Identity(other.certificate, encrypted), "the key is encrypted; use one without a password"),
        (old, "old.pem: the certificate has expired"),
    ):
        sentence = files.refused(partial(files.read_tls, "", identity))
        assert sentence.endswith(why), sentence
    assert "the key does not belong to" in files.refused(
        lambda: files.read_tls("", Identity(files.server.certificate, other.key))
    )


def test_authority_without_certificates_is_refused(files: Files) -> None:
    for path in (files.server.key, "/dev/null"):
        sentence = files.refused(partial(files.read_tls, REQUIRED.format(path)))
        assert sentence.startswith("tls_server_config.client_ca_file: ")
    assert sentence.endswith("/dev/null: it is not a regular file; give the path of a PEM file")


def test_cipher_suites_that_the_key_can_not_serve_are_refused(files: Files) -> None:
    sentence = files.refused(
        lambda: files.read_tls("  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]\n  max_version: TLS12\n")
    )
    assert sentence.startswith("tls_server_config: no client can connect with this certificate, these versions and ")
