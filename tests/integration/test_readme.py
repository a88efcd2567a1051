"""README's commands: each is run here, or named with who runs it; one that is neither fails."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.program import ROOT
from tests.page_steps import shell_commands
from tests.pages import blocks, without_blocks
from tests.waiting import PATIENCE_S, until

README = (ROOT / "README.md").read_text(encoding="utf-8")
PROGRAMS = ("curl", "docker", "gpu-metrics-exporter", "helm", "kubectl", "make", "pip", "python3")

SERVE = {"make run", "make run ARGS=--mock=a100-sxm"}
"""They serve until they are ended."""
ASK_ONE = {"curl -s localhost:9400/metrics | grep DCGM_FI_DEV_GPU_UTIL"}
"""They print something of an exporter that serves."""
DOCTOR = ".venv/bin/gpu-metrics-exporter doctor"
ELSEWHERE = {
    "make test": "it runs this test",
    "make demo": "tests/e2e/test_demo.py",
    ".venv/bin/pip install '.[kubernetes]'": "the virtual environment of the tests stands for it",
}
"""Not run here, and who runs it."""
IN_A_CLUSTER = ("docker ", "helm ", "kubectl ")
"""Beginnings of what needs a cluster or a container engine: tests/chart, tests/e2e and tests/kubelet do it."""


def commands(text: str) -> set[str]:
    """Return the commands of fenced blocks, where `$ ` tells them from answers, and those in sentences and tables."""
    spans = re.findall(r"`([^`\n]+)`", without_blocks(text))
    found = {span for span in spans if span.removeprefix(".venv/bin/").split()[0] in PROGRAMS}
    for body in (*blocks(text, ""), *blocks(text, "sh")):
        typed = re.findall(r"^\$ (.*)$", body, re.MULTILINE)
        found |= {re.sub(r"\s+#.*$", "", command) for command in typed or shell_commands(body)}
    return found


COMMANDS = commands(README)


@contextmanager
def running(command: str, folder: Path) -> Iterator[str]:
    """Run a command that serves, in the tree and with the virtual environment of these tests; gives its address."""
    venv, log = Path(sys.prefix), folder / "log"
    if command.startswith("make "):
        command = f"{command} --old-file={venv}/installed VENV={venv}"  # it is installed
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["bash", "-c", f"exec {command}"], cwd=ROOT, env=environment(), stdout=output, stderr=output
        )
    try:

        def serves() -> bool:
            assert process.poll() is None, log.read_text()
            return "serving http" in log.read_text()

        until(serves, log.read_text)
        yield re.findall(r"serving http://(\S+)/metrics", log.read_text())[0]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_S)


def environment() -> dict[str, str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    outer_make = {"MAKEFLAGS", "MAKEOVERRIDES", "MAKELEVEL", "ARGS"}  # ARGS of `make test` are no flags of the exporter
    inherited = {name: value for name, value in os.environ.items() if name not in outer_make}
    return {**inherited, "PATH": path, "DCGM_EXPORTER_LISTEN": "127.0.0.1:0"}


def printed(command: str) -> str:
    done = subprocess.run(
        ["bash", "-c", command], cwd=ROOT, env=environment(), capture_output=True, text=True, check=False
    )
    return done.stdout


def test_every_command_is_run_or_named() -> None:
    named = {command for command in COMMANDS if command in ELSEWHERE or command.startswith(IN_A_CLUSTER)}
    assert COMMANDS - SERVE - ASK_ONE - {DOCTOR} - named == set()


def test_what_is_run_here_stands_in_the_readme() -> None:
    assert set() == (SERVE | ASK_ONE | {DOCTOR}) - COMMANDS


@pytest.mark.parametrize("command", sorted(SERVE))
def test_it_serves_what_the_readme_asks_it(command: str, tmp_path: Path) -> None:
    with running(command, tmp_path) as address:
        for ask in ASK_ONE:
            assert "\nDCGM_FI_DEV_GPU_UTIL{" in printed(ask.replace("localhost:9400", address))


def test_doctor_looks_at_this_machine() -> None:
    assert re.search(r"^\S+ driver +\S", printed(DOCTOR.removeprefix(".venv/bin/")), re.MULTILINE)


def test_commands_are_found_in_blocks_sentences_and_tables() -> None:
    text = (
        "Use `make x` and `x`.\n```\nmake y     # z\n```\n```\n$ curl a | b\nanswer\n```\n"
        "```yaml\nmake: 1\n```\n| `helm c` |\n"
    )
    assert commands(text) == {"make x", "make y", "curl a | b", "helm c"}
