"""The chart's DaemonSet, installed by the real helm, as a real kubelet runs it."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from podresources.client import PodResourcesClient
from tests.chart.helm import CHART, Helm
from tests.cluster.certificates import NODE_NAME
from tests.kubelet.exporter_image import archive, import_image
from tests.kubelet.exporter_pods import page_of, wait_until_ready
from tests.kubelet.exporter_run import owners_by, owners_on
from tests.kubelet.pods import container, pod
from tests.kubelet.real_node import RealNode
from tests.tools.build import build
from tests.waiting import NotYet, wait_for

RELEASE = "dcgm-exporter"
DIVIDED = {"profile": "h100-sxm", "mig": ["1g.10gb"] * 7}
PAUSE_LABEL = "nvidia.com/gpu.deploy.dcgm-exporter"
EXPORTERS = f"app.kubernetes.io/name={RELEASE}"


@pytest.fixture(scope="module")
def values(real_node: RealNode) -> dict[str, Any]:  # noqa: ARG001 - it runs containerd
    repository, _, tag = import_image(archive()).rpartition(":")
    return {
        "image": {"repository": repository, "tag": tag, "pullPolicy": "Never"},
        "mock": {"enabled": True, "pods": "kubelet"},
    }


@contextmanager
def installed(node: RealNode, namespace: str, values: dict[str, Any], folder: Path) -> Iterator[str]:
    """Install the chart in a namespace of its own; gives the name of the exporter's pod once it is there."""
    helm = Helm(build("helm")["helm"])
    file = folder / "values.yaml"
    file.write_text(yaml.safe_dump(values))
    where = ("--namespace", namespace, "--kubeconfig", str(node.cluster.certificates / "admin.kubeconfig"))
    helm.run("install", RELEASE, str(CHART), *where, "--values", str(file))
    try:
        yield wait_for("the DaemonSet's pod", lambda: pod_of(node, namespace))
    finally:
        helm.run("uninstall", RELEASE, *where, "--wait")


def pod_of(node: RealNode, namespace: str) -> str:
    found = node.cluster.get("pods", "-n", namespace, "-l", EXPORTERS)["items"]
    if len(found) != 1:
        raise NotYet(f"{len(found)} pods")
    return str(found[0]["metadata"]["name"])


def level(node: RealNode, namespace: str, enforced: str) -> str:
    """Make a namespace whose pods Pod Security holds to a level."""
    node.create_namespace(namespace)
    node.kubectl("label", "namespace", namespace, f"pod-security.kubernetes.io/enforce={enforced}")
    return namespace


def test_as_installed_the_exporter_offers_what_it_shows_and_shows_who_holds_it(
    node: RealNode, client: PodResourcesClient, values: dict[str, Any], tmp_path: Path
) -> None:
    namespace = level(node, "chart", "privileged")
    offering = {"enabled": True, "devicePlugin": True, "scenario": {"gpus": [DIVIDED]}}  # whole GPUs: tests' own plugin
    with installed(node, namespace, {**values, "mock": offering}, tmp_path) as exporter:
        address = wait_until_ready(node, namespace, exporter)
        node.run(pod("holder", container(gpus=2, resource="nvidia.com/mig-1g.10gb")))
        held = owners_by(client.list())
        assert len(held) == 2

        def look() -> None:
            if Counter(owners_on(page_of(address)).values()) != Counter(held.values()):
                raise NotYet(f"shown {owners_on(page_of(address))}, held {held}")

        wait_for("the owner", look)
        status = node.kubectl("exec", exporter, "-n", namespace, "--", "cat", "/proc/1/status")
        assert "CapEff:\t0000000000000000" in status


def test_without_pod_mapping_it_runs_as_nobody_where_restricted_is_enforced(
    node: RealNode, values: dict[str, Any], tmp_path: Path
) -> None:
    namespace = level(node, "chart-restricted", "restricted")
    nobody = {**values, "mock": {"enabled": True}, "kubernetes": {"podMapping": False}}
    with installed(node, namespace, nobody, tmp_path) as exporter:
        page = page_of(wait_until_ready(node, namespace, exporter))
        assert page.count("\nDCGM_FI_DEV_GPU_UTIL{") == 8
        assert 'pod="' not in page
        assert node.kubectl("exec", exporter, "-n", namespace, "--", "id", "-u").strip() == "65534"


def test_a_changed_counters_list_reaches_the_running_pod(
    node: RealNode, values: dict[str, Any], tmp_path: Path
) -> None:
    namespace = level(node, "chart-counters", "privileged")
    with installed(node, namespace, values, tmp_path) as exporter:
        address = wait_until_ready(node, namespace, exporter)
        counters = "DCGM_FI_DEV_SM_CLOCK, gauge, mine"
        patch = f'{{"data": {{"default-counters.csv": "{counters}\\n"}}}}'
        node.kubectl("patch", "configmap", f"{RELEASE}-counters", "-n", namespace, "--patch", patch)
        # kubelet looks at a mounted ConfigMap when it syncs the pod; a change of the pod makes it do so at once.
        node.kubectl("annotate", "pod", exporter, "-n", namespace, "touched=1")

        def look() -> None:
            page = page_of(address)
            if "DCGM_FI_DEV_GPU_UTIL{" in page or "DCGM_FI_DEV_SM_CLOCK{" not in page:
                raise NotYet("the old counters")

        wait_for("the new counters", look)
        assert pod_of(node, namespace) == exporter


def test_helm_test_s_pod_finds_the_series(node: RealNode, values: dict[str, Any], tmp_path: Path) -> None:
    namespace = level(node, "chart-test", "privileged")
    with installed(node, namespace, values, tmp_path) as exporter:
        address = wait_until_ready(node, namespace, exporter)
        helm = Helm(build("helm")["helm"])
        tester = helm.template(values).one("Pod")
        tester["metadata"]["namespace"] = namespace
        [only] = tester["spec"]["containers"]
        only["env"] = [{"name": "URL", "value": f"http://{address}:9400/metrics"}]  # there is no DNS in this cluster
        node.cluster.kubectl("apply", manifests=[tester])
        name = tester["metadata"]["name"]

        def look() -> str:
            phase = node.cluster.get("pod", name, "-n", namespace)["status"]["phase"]
            if phase not in {"Succeeded", "Failed"}:
                raise NotYet(phase)
            return str(phase)

        assert wait_for("the test", look) == "Succeeded"
        assert "series of GPUs" in node.kubectl("logs", name, "-n", namespace)


def test_the_pod_goes_while_the_gpu_operator_changes_the_driver_and_comes_back(
    node: RealNode, values: dict[str, Any], tmp_path: Path
) -> None:
    """The operator sets the label, waits until its pods are gone, unloads the driver, and sets the label back."""
    mock_on_a_gpu_node = {
        "image": values["image"],
        "arguments": ["--mock", "--pod-resources-kubelet-socket=/var/lib/kubelet/pod-resources/kubelet.sock"],
    }
    namespace = level(node, "chart-driver", "privileged")
    node.kubectl("label", "node", NODE_NAME, "nvidia.com/gpu.present=true")
    with installed(node, namespace, mock_on_a_gpu_node, tmp_path) as first:
        wait_until_ready(node, namespace, first)
        for reason in ("paused-for-driver-upgrade", "paused-for-mig-change"):
            node.kubectl("label", "node", NODE_NAME, f"{PAUSE_LABEL}={reason}", "--overwrite")
            wait_for("the pod's end", lambda: none_of(node, namespace))
            node.kubectl("label", "node", NODE_NAME, f"{PAUSE_LABEL}=true", "--overwrite")
            wait_until_ready(node, namespace, wait_for("another pod", lambda: pod_of(node, namespace)))
    node.kubectl("label", "node", NODE_NAME, f"{PAUSE_LABEL}-", "nvidia.com/gpu.present-")


def none_of(node: RealNode, namespace: str) -> None:
    if found := node.cluster.get("pods", "-n", namespace, "-l", EXPORTERS)["items"]:
        raise NotYet(f"{len(found)} pods")
