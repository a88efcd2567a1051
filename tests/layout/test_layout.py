"""The layout: data flows one way, and each outside library has one door."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.layout.layout_rules import repeated_classes, sources, unplaced, violations

ROOT = Path(__file__).parents[2]


def test_every_import_points_to_the_left() -> None:
    assert violations(sources(ROOT)) == []


def test_every_module_has_its_place() -> None:
    assert unplaced(sources(ROOT)) == []


PLANTED = {
    "absolute": ("exporter.model", "import exporter.settings"),
    "from": ("exporter.model", "from exporter.settings import Settings"),
    "from the package itself": ("exporter.sampling.plan", "from exporter import pages"),
    "relative": ("exporter.nvml.calls", "from ..sampling import worker"),
    "relative to the package": ("exporter.nvml.calls", "from .. import server"),
    "what reads files of users": ("exporter.user_file", "from exporter.settings import Settings"),
    "in a function": ("exporter.catalogue.power", "def f():\n    from exporter.nvml import calls"),
    "under TYPE_CHECKING": ("exporter.exposition", "if TYPE_CHECKING:\n    from exporter.telemetry import Telemetry"),
    "pynvml outside nvml": ("exporter.sampling.worker", "import pynvml"),
    "kubernetes outside kube": ("exporter.attribution.pods", "def f():\n    from kubernetes import client"),
    "grpc outside podresources": ("exporter.attribution.pods", "import grpc"),
    "prometheus_client outside telemetry": ("exporter.exposition", "from prometheus_client import Gauge"),
    "tornado outside the server": ("exporter.pages", "import tornado.web"),
    "re2 outside attribution": ("exporter.cli.value_types", "def f():\n    import re2"),
    "podresources in sampling": ("exporter.sampling.worker", "import podresources"),
    "the fake kubelet outside agent": ("exporter.attribution.pods", "from podresources import fake_kubelet"),
    "the mock outside agent": ("exporter.nvml.session", "from exporter import mock"),
    "the mock in cli": ("exporter.cli.flags", "def f():\n    from exporter.mock import load_scenario"),
    "the mock's calls in its machine": ("exporter.mock.machine.device", "from exporter.mock.calls import library"),
    "the doctor in agent": ("exporter.agent.agent", "def f():\n    from exporter.doctor import links"),
    "cli in agent": ("exporter.agent.agent", "from exporter.cli.flags import parse"),
    "the exporter in podresources": ("podresources.client", "from exporter.model import Owner"),
    "an NVML call in the catalogue": ("exporter.catalogue.power", "pynvml.nvmlDeviceGetCount()"),
}


@pytest.mark.parametrize(("module", "line"), PLANTED.values(), ids=PLANTED.keys())
def test_a_planted_violation_is_caught(module: str, line: str) -> None:
    packages = {"exporter": "", "exporter.sampling": "", "exporter.nvml": "", "exporter.catalogue": ""}
    assert violations({**packages, module: line})


def test_a_module_without_a_place_is_caught() -> None:
    assert unplaced({"exporter.helpers": "", "exporter.mock.more": ""}) == ["exporter.helpers", "exporter.mock.more"]


def test_each_class_name_stands_once() -> None:
    assert repeated_classes(sources(ROOT)) == []


def test_a_class_name_that_stands_twice_is_caught() -> None:
    twice = {"exporter.labels": "class _Known: ...", "podresources.poller": "def f():\n    class Known: ..."}
    assert repeated_classes(twice) == ["Known stands in exporter.labels and podresources.poller"]


def test_importing_everything_starts_nothing() -> None:
    names = [name for name in sources(ROOT) if not name.endswith("__main__")]
    program = "\n".join(
        [
            "import sys, threading",
            *(f"import {name}" for name in names),
            "assert threading.active_count() == 1, threading.enumerate()",
            "assert not {'kubernetes', 're2'} & sys.modules.keys()",
        ]
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
