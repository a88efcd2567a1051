"""The program itself, scraped by a real Prometheus and checked by its promtool."""

import contextlib
import json
import re
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from exporter.exposition import Format
from tests.golden.series import Series, read_series
from tests.golden.soundness import assert_linted, assert_sound, tool

ROOT = Path(__file__).parents[2]
PATIENCE_S = 30.0
"""How long a test waits for what must happen; it fails after that."""

# The target's labels are what service discovery gives in Kubernetes: the exporter's own pod.
CONFIGURATION = """
global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: gpus
    honor_labels: true
    static_configs: [{{targets: ["{exporter}"], labels: {{namespace: monitoring, pod: exporter-x7k2p}}}}]
"""


def wait_for(what: str, happens: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not happens():
        assert time.monotonic() < deadline, f"{what}: not within {PATIENCE_S} s"
        time.sleep(0.05)


def get(url: str, accept: str = "*/*") -> str:
    request = urllib.request.Request(url, headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=5) as answer:
        text: str = answer.read().decode()
    return text


def answers(url: str) -> bool:
    with contextlib.suppress(OSError):
        get(url)
        return True
    return False


@contextlib.contextmanager
def running(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as file, subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=file) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture(scope="module")
def exporter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of an exporter that has sampled each of its eight mock GPUs, which no pod holds."""
    folder = tmp_path_factory.mktemp("exporter")
    log, scenario = folder / "log", folder / "lab.yaml"
    scenario.write_text("gpus: [{profile: h100-sxm, count: 8, load: 50}]")
    command = [sys.executable, "-m", "exporter", "-k", f"--mock={scenario}", "-a", "127.0.0.1:0"]
    with running(command, log) as process:

        def address() -> str:
            assert process.poll() is None, log.read_text()
            found = re.search(r"serving http://(\S+)/metrics", log.read_text())
            return found[1] if found else ""

        wait_for("the exporter serves", lambda: address() != "")
        wait_for("the exporter is ready", lambda: answers(f"http://{address()}/ready"))
        wait_for("rates are there", lambda: "\nDCGM_FI_PROF_DRAM_ACTIVE{" in get(f"http://{address()}/metrics"))
        yield address()


@pytest.mark.parametrize("form", Format)
def test_scrape_of_the_program_is_sound(exporter: str, form: Format) -> None:
    page = get(f"http://{exporter}/metrics", form.content_type)
    assert_sound(page, form)
    assert len([series for series in read_series(page) if series.name == "DCGM_FI_DEV_GPU_UTIL"]) == 8


def test_promtool_objects_to_nothing_but_dcgm_s_names(exporter: str) -> None:
    assert_linted(get(f"http://{exporter}/metrics"))


class Prometheus:
    """The HTTP API of a Prometheus."""

    def __init__(self, address: str) -> None:
        self.address = address

    def ask(self, path: str, **parameters: str) -> Any:
        query = urllib.parse.urlencode(parameters)
        return json.loads(get(f"http://{self.address}/api/v1/{path}?{query}"))["data"]

    def names(self) -> set[str]:
        """Return the names of all series that it has scraped, without those that it makes itself."""
        found = self.ask("label/__name__/values", **{"match[]": '{job="gpus"}'})
        return {name for name in found if name != "up" and not name.startswith("scrape_")}

    def series(self, query: str) -> list[Series]:
        """Return the newest of the series that a query finds."""
        found = self.ask("query", query=query)["result"]
        return [Series(row["metric"].get("__name__", ""), row["metric"], row["value"][1]) for row in found]


@pytest.fixture(scope="module")
def prometheus(exporter: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Return a Prometheus that has scraped the exporter at least once; it takes 5 s until it begins."""
    folder = tmp_path_factory.mktemp("prometheus")
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    configuration, log = folder / "prometheus.yml", folder / "log"
    configuration.write_text(CONFIGURATION.format(exporter=exporter))
    command = [
        tool("prometheus"),
        f"--config.file={configuration}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
    ]
    with running(command, log) as process:

        def is_ready() -> bool:
            assert process.poll() is None, log.read_text()
            return answers(f"http://{address}/-/ready")

        wait_for("Prometheus is ready", is_ready)
        found = Prometheus(address)
        wait_for("Prometheus has scraped", lambda: bool(found.names()))
        yield found


def test_prometheus_finds_the_same_names(exporter: str, prometheus: Prometheus) -> None:
    names = {series.name for series in read_series(get(f"http://{exporter}/metrics"))}
    wait_for("Prometheus has all names", lambda: prometheus.names() == names)
    assert [series.value for series in prometheus.series("up")] == ["1"]


def test_series_of_idle_gpus_do_not_get_the_exporter_s_own_pod(exporter: str, prometheus: Prometheus) -> None:
    page = read_series(get(f"http://{exporter}/metrics"))
    written = [series.labels for series in page if series.name == "DCGM_FI_DEV_GPU_UTIL"]
    found = [series.labels for series in prometheus.series("DCGM_FI_DEV_GPU_UTIL")]
    assert [labels["pod"] for labels in written] == [""] * 8
    added = {"__name__": "DCGM_FI_DEV_GPU_UTIL", "job": "gpus", "instance": exporter}
    in_order = sorted(found, key=lambda labels: labels["gpu"])
    assert in_order == [{name: value for name, value in labels.items() if value} | added for labels in written]


def test_prometheus_computes_a_rate_of_what_openmetrics_calls_unknown(prometheus: Prometheus) -> None:
    watts = "rate(DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION[5s]) / 1000"
    wait_for("there is a rate", lambda: len(prometheus.series(watts)) == 8)
    assert all(0 < float(series.value) < 1000 for series in prometheus.series(watts))
