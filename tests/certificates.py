"""Certificates of the tests' own, made by openssl: authorities, servers, clients, and those that have expired."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

_CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
_CONFIGURATION = """
[ca]
default_ca = authority
[authority]
database = {folder}/index.txt
new_certs_dir = {folder}
default_md = sha256
policy = any
rand_serial = yes
unique_subject = no
copy_extensions = copy
x509_extensions = leaf
default_days = 30
[leaf]
authorityKeyIdentifier = keyid
[any]
commonName = supplied
"""


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate, and its key."""

    certificate: Path
    key: Path

    def files(self) -> str:
        """Return what names it in a web configuration file."""
        return f"cert_file: {self.certificate}\n  key_file: {self.key}\n"


class Authority:
    """A certificate authority in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self._configuration = folder / "openssl.cnf"
        self._configuration.write_text(_CONFIGURATION.format(folder=folder))
        (folder / "index.txt").touch()
        self._own = Identity(folder / "ca.pem", folder / "ca.key")
        usage = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")  # Python 3.13 trusts no authority without it
        self._run("req", "-x509", *_CURVE, "-days", "30", "-subj", "/CN=authority", *usage, *self._paths(self._own))

    @property
    def certificate(self) -> Path:
        return self._own.certificate

    def issue(self, name: str, alternatives: str = "DNS:localhost,IP:127.0.0.1", *dates: str) -> Identity:
        """Make a certificate; `alternatives` are its subjectAltName, `dates` openssl's -startdate and -enddate."""
        identity = Identity(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        request = self._folder / f"{name}.csr"
        extension = ("-addext", f"subjectAltName={alternatives}")
        self._run(
            "req",
            "-new",
            *_CURVE,
            "-subj",
            f"/CN={name}",
            *extension,
            "-keyout",
            str(identity.key),
            "-out",
            str(request),
        )
        self._run(
            *("ca", "-batch", "-notext", "-config", str(self._configuration), *dates),
            *("-cert", str(self._own.certificate), "-keyfile", str(self._own.key)),
            *("-in", str(request), "-out", str(identity.certificate)),
        )
        return identity

    def issue_expired(self, name: str) -> Identity:
        """Make a certificate of the year 2020."""
        return self.issue(name, "DNS:localhost", "-startdate", "20200101000000Z", "-enddate", "20200601000000Z")

    def _paths(self, identity: Identity) -> tuple[str, ...]:
        return "-keyout", str(identity.key), "-out", str(identity.certificate)

    def _run(self, *arguments: str) -> None:
        done = subprocess.run(("openssl", *arguments), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
