"""The exporter's image, run by a real kubelet under the limits that the chart sets."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from podresources.client import PodResourcesClient
from tests.cluster.control_plane import Manifest
from tests.kubelet.exporter_image import archive, import_image
from tests.kubelet.exporter_pods import (
    exporter_pod,
    page_of,
    run_until_ready,
    with_folder,
    with_mock,
    with_user,
)
from tests.kubelet.exporter_run import owners_by, owners_on
from tests.kubelet.pods import container, pod
from tests.kubelet.real_node import RealNode
from tests.waiting import NotYet, wait_for

RESTRICTED = "restricted"
COMPILERS_AND_INSTALLERS = ("cc", "gcc", "as", "ld", "make", "pip", "pip3")
COUNTERS = Path("exporter/counter_files")
IMPORTED_LATE = """
import grpc, yaml
from kubernetes import client, config
client.CoreV1Api(client.ApiClient()), client.ResourceV1Api(), config.load_incluster_config
"""


@pytest.fixture(scope="session")
def image(real_node: RealNode, figures: list[str]) -> str:  # noqa: ARG001 - it runs containerd
    figures.append(f"image: {archive().stat().st_size / 1e6:.0f} MB in the archive")
    return import_image(archive())


@pytest.fixture(scope="session")
def restricted(real_node: RealNode) -> str:
    """A namespace in which the API server refuses what Pod Security's level `restricted` forbids."""
    real_node.create_namespace(RESTRICTED)
    label = f"pod-security.kubernetes.io/enforce={RESTRICTED}"
    real_node.kubectl("label", "namespace", RESTRICTED, label)
    return RESTRICTED


def resident(node: RealNode, exporter: Manifest) -> str:
    status = node.execute(exporter, "exporter", "cat", "/proc/1/status")
    found = re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)
    assert found
    return f"{int(found[1]) / 1024:.0f} MiB"


@pytest.fixture(scope="module")
def nobody(real_node: RealNode, image: str, restricted: str) -> Iterator[tuple[Manifest, str]]:
    """A pod as any user but root runs it, and its address; before the tests that take all pods away with them."""
    exporter = with_mock(exporter_pod("nobody", image, "--mock", "-k=false", namespace=restricted))
    yield exporter, run_until_ready(real_node, exporter)
    real_node.delete(exporter)


def test_nobody_serves_the_metrics_under_the_restricted_level(
    real_node: RealNode, nobody: tuple[Manifest, str], figures: list[str]
) -> None:
    exporter, address = nobody
    assert len(re.findall(r"^DCGM_FI_DEV_GPU_UTIL\{", page_of(address), re.MULTILINE)) == 8
    assert real_node.execute(exporter, "exporter", "id", "-u").strip() == "65534"
    figures.append(f"image: {resident(real_node, exporter)} resident without -k")


def test_the_image_has_what_dcgm_exporters_daemonsets_rely_on(
    real_node: RealNode, nobody: tuple[Manifest, str]
) -> None:
    exporter, _ = nobody
    given = real_node.environment_of(exporter, "exporter")
    assert given["NVIDIA_VISIBLE_DEVICES"] == "all"
    assert given["NVIDIA_DRIVER_CAPABILITIES"] == "compute,utility,compat32"
    assert given["NVIDIA_DISABLE_REQUIRE"] == "true"
    for name in ("dcgm-exporter", "gpu-metrics-exporter"):
        assert real_node.execute(exporter, "exporter", name, "--version").startswith("gpu-metrics-exporter ")
    for file in COUNTERS.glob("*.csv"):
        assert real_node.execute(exporter, "exporter", "cat", f"/etc/dcgm-exporter/{file.name}") == file.read_text()


def test_the_image_has_no_compiler_and_no_installer(real_node: RealNode, nobody: tuple[Manifest, str]) -> None:
    exporter, _ = nobody
    look = " ".join(f"command -v {name};" for name in COMPILERS_AND_INSTALLERS)
    found = real_node.execute(exporter, "exporter", "sh", "-c", f"command -v python3; {look} true")
    assert found == "/usr/bin/python3\n"
    modules = "import importlib.util as u; print([n for n in ('pip', 'ensurepip', 'setuptools') if u.find_spec(n)])"
    assert real_node.execute(exporter, "exporter", "python3", "-c", modules).strip() == "[]"


def test_what_is_left_out_of_the_dependencies_is_missed_by_nothing_that_is_imported_late(
    real_node: RealNode, nobody: tuple[Manifest, str]
) -> None:
    exporter, _ = nobody
    assert not real_node.execute(exporter, "exporter", "python3", "-W", "error", "-c", IMPORTED_LATE)


def test_nothing_is_compiled_at_start(real_node: RealNode, nobody: tuple[Manifest, str]) -> None:
    exporter, _ = nobody
    told = real_node.execute(
        exporter, "exporter", "sh", "-c", "python3 -v -c 'import exporter.cli.main, exporter.agent.agent' 2>&1"
    )
    loaded = re.findall(r"^# code object from '?([^'\n]+)", told, re.MULTILINE)
    assert len(loaded) > 100
    assert not [path for path in loaded if not path.endswith(".pyc")]


def test_root_without_capabilities_and_with_nothing_to_write_to_sees_who_holds_a_gpu(
    node: RealNode, client: PodResourcesClient, image: str, figures: list[str]
) -> None:
    node.run(pod("holder", container(gpus=1)))
    socket = str(node.pod_resources_socket)
    exporter = exporter_pod("exporter", image, "--mock", "-k", "--pod-resources-kubelet-socket", socket)
    folder = node.pod_resources_socket.parent
    exporter = with_folder(
        with_user(exporter, 0), str(folder), {"hostPath": {"path": str(folder), "type": "Directory"}}
    )
    address = run_until_ready(node, exporter)
    must_show_holders(client, address)
    figures.append(f"image: {resident(node, exporter)} resident with -k")


def must_show_holders(client: PodResourcesClient, address: str) -> None:
    """Wait until a pod's page shows the owners that kubelet lists, of which there is at least one."""
    truth = owners_by(client.list())
    assert truth

    def look() -> None:
        shown = owners_on(page_of(address))
        if shown != truth:
            raise NotYet(f"shown {shown}, not {truth}")

    wait_for("the owners", look)


def test_a_user_without_a_name_gets_the_counters_that_are_mounted_over_the_default_ones(
    node: RealNode, image: str, restricted: str
) -> None:
    node.kubectl("delete", "configmap", "counters", "-n", restricted, "--ignore-not-found")
    text = "--from-literal=default-counters.csv=DCGM_FI_DEV_FAN_SPEED, gauge, mine\nDCGM_FI_DEV_SM_CLOCK, gauge, mine"
    node.kubectl("create", "configmap", "counters", "-n", restricted, text)
    exporter = with_mock(exporter_pod("exporter", image, "--mock", "-k=false", namespace=restricted))
    exporter = with_folder(
        with_user(exporter, 1_000_650_000), "/etc/dcgm-exporter", {"configMap": {"name": "counters"}}
    )
    page = page_of(run_until_ready(node, exporter))
    assert set(re.findall(r"^(DCGM_FI_\w+)\{", page, re.MULTILINE)) == {"DCGM_FI_DEV_SM_CLOCK"}
