"""A real Prometheus, and what it scrapes here: mock exporters, and pages of series that other programs would serve."""

import http.server
import json
import re
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.waiting import PATIENCE_S, until

ROOT = Path(__file__).parents[2]


def answer_of(url: str) -> str:
    """Return what a GET is answered with, or nothing where nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            text: str = answer.read().decode()
    except OSError:
        return ""
    return text


@contextmanager
def _running(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as file, subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=file) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def mock_exporter(folder: Path, scenario: Mapping[str, Any], *arguments: str) -> Iterator[str]:
    """Run an exporter with a scenario; yields its address when it has read its GPUs."""
    file, log = folder / "scenario.yaml", folder / "exporter.log"
    file.write_text(yaml.safe_dump(dict(scenario)))
    command = [sys.executable, "-m", "exporter", f"--mock={file}", "-k", "-a", "127.0.0.1:0", *arguments]
    with _running(command, log) as process:

        def address() -> str:
            assert process.poll() is None, log.read_text()
            found = re.search(r"serving http://(\S+)/metrics", log.read_text())
            return found[1] if found else ""

        until(lambda: address() != "", what="the exporter serves")
        until(lambda: answer_of(f"http://{address()}/ready") != "", what="the exporter is ready")
        yield address()


@contextmanager
def page_of_series(text: str) -> Iterator[str]:
    """Serve a page of series; yields the address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join(PATIENCE_S)


@dataclass(frozen=True, slots=True)
class Prometheus:
    """The HTTP API of a Prometheus."""

    address: str

    def ask(self, path: str, **parameters: str) -> Any:
        """Return the data of an answer; a query that is none fails with what Prometheus says of it."""
        query = urllib.parse.urlencode(parameters)
        try:
            with urllib.request.urlopen(f"http://{self.address}/api/v1/{path}?{query}", timeout=10) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            with error:
                message = f"{json.load(error)['error']} in {parameters}"
            raise AssertionError(message) from None

    def series(self, query: str) -> list[dict[str, Any]]:
        """Return the newest of the series that a query finds: their labels as `metric`, time and value as `value`."""
        found: list[dict[str, Any]] = self.ask("query", query=query)["result"]
        return found

    def has_value(self, label: str, value: str, series: str) -> bool:
        """Say whether some series have this value of a label."""
        return value in self.ask(f"label/{label}/values", **{"match[]": series})

    def labels(self, series: str) -> list[str]:
        """Return the names of the labels that some series have."""
        found: list[str] = self.ask("labels", **{"match[]": series})
        return found

    def number(self, query: str) -> float:
        """Return the value of the one series that a query finds."""
        [one] = self.series(query)
        return float(one["value"][1])


@contextmanager
def prometheus(
    program: str | Path, folder: Path, scrape_configs: list[dict[str, Any]], rules: Mapping[str, Any] | None = None
) -> Iterator[Prometheus]:
    """Run a Prometheus that scrapes and evaluates each second; yields it when it answers."""
    (folder / "rules.yml").write_text(yaml.safe_dump(dict(rules or {})))
    settings = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yml"],
        "scrape_configs": scrape_configs,
    }
    with running_prometheus(program, folder, settings) as running:
        yield running


@contextmanager
def running_prometheus(
    program: str | Path, folder: Path, settings: Mapping[str, Any], *flags: str
) -> Iterator[Prometheus]:
    """Run a Prometheus with a configuration; yields it when it answers."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    configuration, log = folder / "prometheus.yml", folder / "prometheus.log"
    configuration.write_text(yaml.safe_dump(dict(settings)))
    command = [
        str(program),
        f"--config.file={configuration}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
        *flags,
    ]
    with _running(command, log) as process:

        def is_ready() -> bool:
            assert process.poll() is None, log.read_text()
            return answer_of(f"http://{address}/-/ready") != ""

        until(is_ready, what="Prometheus is ready")
        yield Prometheus(address)
