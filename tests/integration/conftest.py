from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.program import Program, Start


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
