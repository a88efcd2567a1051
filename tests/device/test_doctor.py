"""The doctor on a machine with a real GPU: the links of the node hold, and the exporter that runs beside it is seen."""

import json
import subprocess
import sys

import pynvml

from tests.device.conftest import Exporter

NODE = ("driver", "permissions", "devices", "counters", "profiling")


def examine() -> dict[str, list[dict[str, str]]]:
    """Return the findings by link, of a doctor that has no cluster."""
    command = [sys.executable, "-m", "exporter", "doctor", "--json", "--kubeconfig=/nowhere"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.stderr == ""
    found: dict[str, list[dict[str, str]]] = {}
    for one in json.loads(done.stdout)["findings"]:
        print(one["mark"], one["link"], one["seen"])
        found.setdefault(one["link"], []).append(one)
    return found


def test_the_links_of_the_node_hold(exporter: Exporter) -> None:
    assert exporter.process.poll() is None
    found = examine()
    assert {link: {one["mark"] for one in found[link]} for link in NODE} == {link: {"holds"} for link in NODE}
    pynvml.nvmlInit()
    try:
        assert pynvml.nvmlSystemGetDriverVersion() in found["driver"][0]["seen"]
        assert f"{pynvml.nvmlDeviceGetCount()} x " in found["devices"][0]["seen"]
    finally:
        pynvml.nvmlShutdown()


def test_the_exporter_beside_it_and_its_gpus_are_seen(exporter: Exporter) -> None:
    assert exporter.process.poll() is None
    found = examine()
    assert [one["mark"] for one in found["exporter"]] == ["holds"]
    assert [one["mark"] for one in found["gpus"]] == ["holds"]
