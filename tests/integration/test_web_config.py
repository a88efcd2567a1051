"""The program with TLS, client certificates and passwords: asked by curl, and scraped by a real Prometheus."""

import re
import ssl
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Authority, Identity
from tests.golden.soundness import tool
from tests.integration.program import Program
from tests.integration.prometheus_run import prometheus
from tests.unit.server.web_config.writing import HASH
from tests.waiting import PATIENCE_S, until

USER, PASSWORD = "alice", "password"


@dataclass(frozen=True)
class Secured:
    """A running program, who may ask it, and who may not."""

    program: Program
    authority: Authority
    known: Identity
    stranger: Identity

    @property
    def address(self) -> str:
        self.program.until(lambda: "serving https://" in self.program.log())
        return self.program.log().partition("serving https://")[2].partition("/metrics")[0]


@contextmanager
def serving(folder: Path, *lines: str) -> Iterator[Program]:
    """Run the program with a web configuration file of these lines."""
    (folder / "web.yml").write_text("".join(f"{line}\n" for line in lines))
    arguments = ("--mock=t4", "-k=false", f"--web-config-file={folder / 'web.yml'}")
    program = Program(folder, arguments, {"DCGM_EXPORTER_LISTEN": "127.0.0.1:0"})
    try:
        yield program
    finally:
        program.kill()


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("secured")
    authority = Authority(folder / "ca")
    with serving(
        folder,
        f"basic_auth_users: {{{USER}: {HASH}}}",
        "tls_server_config:",
        f"  {authority.issue('server').files()}  client_ca_file: {authority.certificate}",
        "  client_auth_type: RequireAndVerifyClientCert",
        "  client_allowed_sans: [prometheus]",
    ) as program:
        stranger = Authority(folder / "other").issue("stranger", "DNS:prometheus")
        yield Secured(program, authority, authority.issue("prometheus", "DNS:prometheus"), stranger)


def curl(secured: Secured, *arguments: str, scheme: str = "https", identity: Identity | None = None) -> str:
    """Return the status that curl gets, and the last line; or curl's own error."""
    trust = ("--cacert", str(secured.authority.certificate))
    given = ("--cert", str(identity.certificate), "--key", str(identity.key)) if identity else ()
    command = (tool("curl", "curl"), "-sS", "-w", "%{http_code}", *trust, *given, *arguments)
    done = subprocess.run(
        (*command, f"{scheme}://{secured.address}/metrics"), capture_output=True, text=True, check=False
    )
    return done.stdout if done.returncode == 0 else done.stderr


def test_curl_gets_the_page_with_certificate_and_password_and_with_nothing_less(secured: Secured) -> None:
    right = f"-u{USER}:{PASSWORD}"
    assert curl(secured, right, identity=secured.known).endswith("\n200")
    assert curl(secured, identity=secured.known) == "Unauthorized\n401"
    assert curl(secured, f"-u{USER}:wrong", identity=secured.known) == "Unauthorized\n401"
    assert curl(secured, f"-ubob:{PASSWORD}", identity=secured.known) == "Unauthorized\n401"
    assert curl(secured, right).startswith("curl: (")  # the alert that says why can be lost with the connection
    assert curl(secured, right, identity=secured.stranger).startswith("curl: (")
    unnamed = secured.authority.issue("unnamed", "DNS:other")
    assert curl(secured, right, identity=unnamed) == "The client's certificate has no allowed name.\n403"
    in_the_clear = curl(secured, right, scheme="http")
    assert in_the_clear == "Client sent an HTTP request to an HTTPS server.\n400"


def scrape_config(name: str, secured: Secured, identity: Identity | None, password: str | None) -> dict[str, Any]:
    files = {"cert_file": str(identity.certificate), "key_file": str(identity.key)} if identity else {}
    login = {"basic_auth": {"username": USER, "password": password}} if password else {}
    return {
        "job_name": name,
        "scheme": "https",
        "tls_config": {"ca_file": str(secured.authority.certificate), **files},
        "static_configs": [{"targets": [secured.address]}],
        **login,
    }


def test_prometheus_scrapes_with_certificate_and_password_and_with_nothing_less(
    secured: Secured, tmp_path: Path
) -> None:
    why: Mapping[str, str] = {
        "right": "^$",
        "no certificate": "certificate required|reset|broken pipe|EOF",
        "stranger": "unknown certificate authority|reset|broken pipe|EOF",
        "no password": "401 Unauthorized",
        "wrong password": "401 Unauthorized",
    }
    configs = [
        scrape_config("right", secured, secured.known, PASSWORD),
        scrape_config("no certificate", secured, None, PASSWORD),
        scrape_config("stranger", secured, secured.stranger, PASSWORD),
        scrape_config("no password", secured, secured.known, None),
        scrape_config("wrong password", secured, secured.known, "wrong"),
    ]
    with prometheus(tool("prometheus"), tmp_path, configs) as found:

        def targets() -> dict[str, dict[str, Any]]:
            return {target["labels"]["job"]: target for target in found.ask("targets")["activeTargets"]}

        def are_scraped() -> bool:
            return [target["health"] != "unknown" for target in targets().values()] == [True] * len(configs)

        until(are_scraped, targets, "all are scraped")
        for job, target in targets().items():
            assert re.search(why[job], target["lastError"])
            assert target["health"] == ("up" if job == "right" else "down")
        until(lambda: found.series('DCGM_FI_DEV_GPU_TEMP{job="right"}'), what="the series are there")


def test_certificate_is_replaced_under_load_without_a_failed_scrape(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    mount = tmp_path / "tls"
    mount.mkdir()
    swap(mount, authority.issue("first"))
    for name in ("tls.crt", "tls.key"):
        (mount / name).symlink_to(f"..data/{name}")
    with serving(tmp_path, "tls_server_config: {cert_file: tls/tls.crt, key_file: tls/tls.key}") as program:
        secured = Secured(program, authority, Identity(mount, mount), Identity(mount, mount))
        clients = [Scraper(secured.address, authority.certificate) for _ in range(4)]
        for replacement in ("second", "third"):
            identity = authority.issue(replacement)
            swap(mount, identity)
            wanted = ssl.PEM_cert_to_DER_cert(identity.certificate.read_text())
            until(partial(all_have, clients, wanted), what="the new certificate")
        assert [failure for client in clients for failure in client.end()] == []


def all_have(clients: Sequence["Scraper"], certificate: bytes) -> bool:
    return all(client.newest == certificate for client in clients)


def swap(mount: Path, identity: Identity) -> None:
    """Change the files of a mounted Secret as kubelet does: by one rename of a link."""
    version = mount / f"..{identity.certificate.stem}"
    version.mkdir()
    (version / "tls.crt").write_bytes(identity.certificate.read_bytes())
    (version / "tls.key").write_bytes(identity.key.read_bytes())
    (mount / "..data_tmp").symlink_to(version.name)
    (mount / "..data_tmp").rename(mount / "..data")


class Scraper:
    """Scrapes without a pause, over a new connection each time."""

    def __init__(self, address: str, authority: Path) -> None:
        self.newest = b""
        self._address = address
        self._context = ssl.create_default_context(cafile=authority)
        self._failures: list[str] = []
        self._is_ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def end(self) -> list[str]:
        """Return what went wrong."""
        self._is_ending.set()
        self._thread.join()
        return self._failures

    def _run(self) -> None:
        while not self._is_ending.wait(0.01):
            connection = HTTPSConnection(self._address, timeout=PATIENCE_S, context=self._context)
            try:
                connection.request("GET", "/metrics")
                self.newest = connection.sock.getpeercert(binary_form=True) or b""
                assert connection.getresponse().read()
            except OSError as error:
                self._failures.append(str(error))
            finally:
                connection.close()
