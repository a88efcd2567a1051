from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.unit.sampling.supervisor_bench import TWO, Make, SupervisorBench


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[SupervisorBench] = []

    def bench(machine: str = TWO, devices: str = "f", **replaced: Callable[..., Any]) -> SupervisorBench:
        made.append(SupervisorBench(machine, devices))
        made[-1].nvml.replaced |= replaced
        return made[-1]

    yield bench
    for each in made:
        each.mock.release_hangs()
        if each.supervisor.watching():
            each.supervisor.stop()
