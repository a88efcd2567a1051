"""The tools that tests of the chart use."""

from collections.abc import Mapping
from contextlib import suppress

import pytest

from tests.chart.helm import Helm
from tests.chart.schemas import NEWEST, OLDEST, Schemas
from tests.tools.build import build
from tests.tools.schemas import fetch_schemas


def pytest_addoption(parser: pytest.Parser) -> None:
    with suppress(ValueError):  # the golden scrapes have the same flag
        parser.addoption("--regenerate", action="store_true", help="write the golden files anew; then review the diff")


@pytest.fixture
def regenerate(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--regenerate", default=False))


@pytest.fixture(scope="session")
def helm() -> Helm:
    return Helm(build("helm")["helm"])


@pytest.fixture(scope="session")
def schemas() -> Mapping[str, Schemas]:
    """The schemas of the oldest and of the newest Kubernetes, by release."""
    folder = fetch_schemas()
    return {release: Schemas(folder, release) for release in (OLDEST, NEWEST)}
