"""The tools that tests of the chart use."""

from collections.abc import Mapping
from contextlib import suppress

import pytest

from tests.chart.helm import ALL_HELMS, HELMS, NEWEST_HELM, Helm
from tests.chart.schemas import NEWEST, OLDEST, Schemas
from tests.tools.build import build
from tests.tools.schemas import fetch_schemas


def pytest_addoption(parser: pytest.Parser) -> None:
    with suppress(ValueError):  # the golden scrapes have the same flag
        parser.addoption("--regenerate", action="store_true", help="write the golden files anew; then review the diff")
    parser.addoption("--all-helms", action="store_true", help="run what each helm must do with all of them")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "any_helm" in metafunc.fixturenames:
        groups = ALL_HELMS if metafunc.config.getoption("--all-helms", default=False) else HELMS
        metafunc.parametrize("any_helm", groups, indirect=True, scope="session")


@pytest.fixture
def regenerate(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--regenerate", default=False))


@pytest.fixture(scope="session")
def helm() -> Helm:
    """The newest."""
    return Helm(build(NEWEST_HELM)["helm"])


@pytest.fixture(scope="session")
def any_helm(request: pytest.FixtureRequest) -> Helm:
    """Each of the helms that people run."""
    return Helm(build(request.param)["helm"])


@pytest.fixture(scope="session")
def schemas() -> Mapping[str, Schemas]:
    """The schemas of the oldest and of the newest Kubernetes, by release."""
    folder = fetch_schemas()
    return {release: Schemas(folder, release) for release in (OLDEST, NEWEST)}
