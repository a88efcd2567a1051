"""The program where the Kubernetes client is not installed: `pip install gpu-metrics-exporter` without its extra."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.program import ROOT

WITHOUT_CLIENT = """
import sys
sys.modules["kubernetes"] = None
from exporter.cli.main import main
sys.exit(main())
"""
INSTALL = "pip install 'gpu-metrics-exporter[kubernetes]'"


def ended(*arguments: str) -> tuple[int, str]:
    """Return the exit code and all that a command said."""
    command = (sys.executable, "-c", WITHOUT_CLIENT, *arguments)
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("command", ["check", "serve"])
@pytest.mark.parametrize(
    "flags",
    [
        ("-k", "--kubernetes-enable-pod-labels"),
        ("-k", "--kubernetes-enable-pod-uid"),
        ("-k", "--kubernetes-enable-dra"),
        ("-m", "monitoring:counters"),
    ],
)
def test_a_setting_that_needs_the_api_server_says_what_to_install(command: str, flags: tuple[str, ...]) -> None:
    code, said = ended(command, "--mock", "-a", "127.0.0.1:0", *flags)
    assert code == 2, said
    assert INSTALL in said
    assert f"--{flags[-1].lstrip('-')}" in said or "--configmap-data" in said
    assert "Traceback" not in said


def test_pods_from_kubelet_alone_need_no_client(tmp_path: Path) -> None:
    code, said = ended("check", "--mock", "-k", f"--pod-resources-kubelet-socket={tmp_path}/kubelet.sock")
    assert code == 0, said
