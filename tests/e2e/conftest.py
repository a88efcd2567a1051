"""One cluster for all tests here. Each test has namespaces of its own, and leaves them empty."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import enclosure
from tests.e2e.cases import Table
from tests.e2e.cluster import FAST, TOOLS, Cluster, Plan
from tests.e2e.manifests import fetch_manifests
from tests.e2e.release import BURSTS_INSTANT, BURSTS_TRUE
from tests.tools.build import build

NODES = ("gpu0", "gpu1")
NAMESPACES = (BURSTS_INSTANT, BURSTS_TRUE, "default", "inference", "real", "serverless", "team-a", "team-b")
_ORDER = ("test_walk_through", "test_closed_loop", "test_doctor", "test_serving", "test_real_node", "test_trouble")
TABLE = pytest.StashKey[Table]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="run every case, not the core alone")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "full: beyond the core; runs with --full")
    config.stash[TABLE] = Table()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: (*_ORDER, item.path.stem).index(item.path.stem))
    if config.getoption("--full"):
        return
    left_out = [item for item in items if item.get_closest_marker("full")]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    lines = config.stash[TABLE].lines()
    for line in lines:
        terminalreporter.write_line(line)
    if keep := os.environ.get("E2E_LOGS"):
        Path(keep).mkdir(parents=True, exist_ok=True)
        (Path(keep) / "table.txt").write_text("\n".join([*lines, ""]))


@pytest.fixture(scope="session")
def table(request: pytest.FixtureRequest) -> Table:
    """The table that is printed at the end."""
    return request.config.stash[TABLE]


@pytest.fixture(scope="session")
def bare_cluster(table: Table) -> Iterator[Cluster]:
    """A cluster with Prometheus and without the chart."""
    if not enclosure.is_inside():
        pytest.skip("a cluster runs enclosed: `make e2e`")
    began = time.monotonic()
    cluster = Cluster(build(*TOOLS), fetch_manifests(), enclosure.FOLDER, Plan(NODES, NAMESPACES, FAST))
    try:
        with cluster:
            table.took("the cluster starts", time.monotonic() - began)
            yield cluster
    finally:
        if keep := os.environ.get("E2E_LOGS"):
            cluster.keep_logs(keep)


@pytest.fixture(scope="session")
def installed(bare_cluster: Cluster, table: Table) -> Cluster:
    """A cluster with the chart, as `helm install` leaves it."""
    began = time.monotonic()
    bare_cluster.install()
    table.took("helm install", time.monotonic() - began)
    return bare_cluster


@pytest.fixture
def cluster(installed: Cluster) -> Iterator[Cluster]:
    """A cluster with the chart and no workloads; what the test makes is taken away after it."""
    yield installed
    installed.clear()
