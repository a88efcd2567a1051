from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.program import Program, Start
from tests.unit.fake_api_server import FakeApiServer


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start the program, on a free port unless a variable says another."""
    started: list[Program] = []

    def begin(*arguments: str, **variables: str) -> Program:
        if "DCGM_EXPORTER_LISTEN" not in variables:
            variables["DCGM_EXPORTER_LISTEN"] = "127.0.0.1:0"
        started.append(Program(tmp_path, arguments, variables))
        return started[-1]

    yield begin
    for program in started:
        program.kill()


@pytest.fixture
def api(tmp_path: Path) -> Iterator[FakeApiServer]:
    """Run a tiny API server; a program finds it by its kubeconfig."""
    server = FakeApiServer(tmp_path / "kubeconfig")
    server.up()
    yield server
    server.down()
