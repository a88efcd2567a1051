from collections.abc import Iterator

import pytest

from tests.unit.mock.steering.steered import Steered


@pytest.fixture
def steered() -> Iterator[Steered]:
    made = Steered()
    with made.steering:
        yield made
    made.nvml.release_hangs()


@pytest.fixture(scope="module")
def unmoved() -> Iterator[Steered]:
    """One for all the tests that change nothing."""
    made = Steered()
    with made.steering:
        yield made
