"""One real node for all tests here; each test begins with eight whole GPUs and without a pod."""

import os
import shutil
import time
from collections.abc import Iterator

import pytest

from exporter.mock import MockNvml, load_scenario
from podresources.client import PodResourcesClient
from podresources.device_plugin import DevicePlugin
from tests.cluster import enclosure
from tests.cluster.control_plane import ControlPlane
from tests.kubelet.real_node import RealNode
from tests.tools.build import build

FIGURES = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[FIGURES] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash[FIGURES]:
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def figures(request: pytest.FixtureRequest) -> list[str]:
    """Lines that stand below the results of all tests."""
    return request.config.stash[FIGURES]


@pytest.fixture(scope="session")
def uuids() -> tuple[str, ...]:
    """The UUIDs of the GPUs that the exporter sees in mock mode."""
    nvml = MockNvml(load_scenario("h100-sxm"), time)
    nvml.nvmlInit()
    gpus = range(nvml.nvmlDeviceGetCount())
    return tuple(nvml.nvmlDeviceGetUUID(nvml.nvmlDeviceGetHandleByIndex(gpu)) for gpu in gpus)


@pytest.fixture(scope="session")
def real_node(request: pytest.FixtureRequest) -> Iterator[RealNode]:
    if not enclosure.is_inside():
        pytest.skip("a real kubelet runs enclosed: `make kubelet-test`")
    started = time.monotonic()
    cluster = ControlPlane(build("etcd", "kubernetes"), enclosure.FOLDER)
    try:
        with cluster, RealNode(cluster, enclosure.FOLDER) as node:
            request.config.stash[FIGURES].append(f"real node ready after {time.monotonic() - started:.1f} s")
            yield node
    finally:
        if keep := os.environ.get("KUBELET_TEST_LOGS"):
            shutil.copytree(cluster.logs, keep, dirs_exist_ok=True)


@pytest.fixture(scope="session")
def node_and_plugin(real_node: RealNode, uuids: tuple[str, ...]) -> Iterator[tuple[RealNode, DevicePlugin]]:
    with DevicePlugin(uuids) as plugin:
        yield real_node, plugin


@pytest.fixture
def plugin(node_and_plugin: tuple[RealNode, DevicePlugin], uuids: tuple[str, ...]) -> Iterator[DevicePlugin]:
    """The device plugin of nvidia.com/gpu; it offers all GPUs whole."""
    node, plugin = node_and_plugin
    plugin.offer(uuids)
    node.wait_for_offer(plugin)
    yield plugin
    node.delete_all()


@pytest.fixture
def node(real_node: RealNode, plugin: DevicePlugin) -> RealNode:  # noqa: ARG001 - the plugin comes first, and cleans up
    return real_node


@pytest.fixture
def client(node: RealNode) -> Iterator[PodResourcesClient]:
    client = PodResourcesClient(node.pod_resources_socket)
    yield client
    client.close()
