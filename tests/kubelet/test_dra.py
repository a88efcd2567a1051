"""Dynamic resource allocation on a real kubelet: whose GPU is it, by what kubelet, slices and claims say together."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from exporter.mock import MockNvml, load_scenario
from podresources.allocations import ClaimAllocation
from podresources.client import PodResourcesClient
from tests.cluster.certificates import NODE_NAME
from tests.cluster.control_plane import Manifest
from tests.kubelet.dra_driver import DRIVER, Attributes, DraDriver
from tests.kubelet.exporter_run import ExporterRun
from tests.kubelet.pods import container, pod
from tests.kubelet.real_node import RealNode
from tests.waiting import wait_for

API = "resource.k8s.io/v1"
START_S = 180.0
"""A kubelet that asks for a claim before the API server knows that it may, asks again after a minute or more."""
SCRAPES = 30
"""So many more show that owners stay, at ten a second."""


@pytest.fixture(scope="module")
def driver(real_node: RealNode) -> Iterator[DraDriver]:
    device_class = {"selectors": [{"cel": {"expression": f"device.driver == '{DRIVER}'"}}]}
    kind = {"apiVersion": API, "kind": "DeviceClass"}
    real_node.kubectl("apply", manifests=[{**kind, "metadata": {"name": DRIVER}, "spec": device_class}])
    with DraDriver(real_node.cluster) as driver:
        yield driver


@pytest.fixture(autouse=True)
def cleaned(node: RealNode) -> Iterator[None]:
    """Take away what a test has claimed; `node` ends its pods before."""
    yield
    node.delete_all()
    node.kubectl("delete", "resourceclaims", "--all", "--all-namespaces", "--wait")
    node.kubectl("delete", "resourceslices", "--all", "--wait")


def exporter(node: RealNode, mock: str) -> ExporterRun:
    """Return an exporter that asks this kubelet and this API server."""
    kubeconfig = str(node.cluster.certificates / "admin.kubeconfig")
    variables = {"NODE_NAME": NODE_NAME, "KUBECONFIG": kubeconfig}
    return ExporterRun(node.pod_resources_socket, "--kubernetes-enable-dra", mock=mock, variables=variables)


def gpu(uuid: str) -> Attributes:
    return {"type": "gpu", "uuid": uuid}


def claim_of(device: Attributes, name: str, namespace: str = "default") -> Manifest:
    """Return a claim on the device that has all these attributes."""
    tests = (f"device.attributes['{DRIVER}'].{key} == '{value}'" for key, value in device.items())
    return _claim(name, namespace, {"selectors": [{"cel": {"expression": " && ".join(tests)}}]})


def admin_claim(name: str, namespace: str) -> Manifest:
    """Return a claim that looks at all devices."""
    return _claim(name, namespace, {"adminAccess": True, "allocationMode": "All"})


def _claim(name: str, namespace: str, request: Mapping[str, Any]) -> Manifest:
    exactly = {"deviceClassName": DRIVER, **request}
    return {
        "apiVersion": API,
        "kind": "ResourceClaim",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"devices": {"requests": [{"name": "gpu", "exactly": exactly}]}},
    }


def run_user(node: RealNode, claim: Manifest) -> str:
    """Run a pod that uses a claim and has its name; returns it as owners are written."""
    name, namespace = claim["metadata"]["name"], claim["metadata"]["namespace"]
    node.kubectl("create", manifests=[claim])
    user: dict[str, Any] = {**pod(name, container(), namespace=namespace)}
    [only] = user["spec"]["containers"]
    claims = {
        "resourceClaims": [{"name": "gpu", "resourceClaimName": name}],
        "containers": [{**only, "resources": {"claims": [{"name": "gpu"}]}}],
    }
    user["spec"] = {**user["spec"], **claims}
    node.create(user)
    node.wait_for_containers(user, only["name"], within_s=START_S)
    return f"{namespace}/{name}/main"


def test_who_holds_a_gpu_by_a_claim_is_shown_and_who_looks_by_admin_access_is_not(
    node: RealNode, driver: DraDriver, client: PodResourcesClient, uuids: tuple[str, ...]
) -> None:
    driver.publish({"gpu-0": gpu(uuids[0]), "gpu-1": gpu(uuids[1])})
    node.create_namespace("monitors")
    node.kubectl("label", "namespace", "monitors", "resource.kubernetes.io/admin-access=true")
    run_user(node, admin_claim("monitor", "monitors"))
    holder = run_user(node, claim_of(gpu(uuids[0]), "holder"))
    listed = {(held.pod, held.device) for held in client.list() if isinstance(held, ClaimAllocation)}
    assert listed == {("holder", "gpu-0"), ("monitor", "gpu-0"), ("monitor", "gpu-1")}, "kubelet makes no difference"
    with exporter(node, "h100-sxm") as run:
        wait_for("the owner", lambda: run.must_show({uuids[0]: frozenset({holder})}))


def test_mig_device_without_a_uuid_is_found_by_its_gpu_and_profile(node: RealNode, driver: DraDriver) -> None:
    parent, instance = divided_gpu()
    abstract = {"type": "mig", "parentUUID": parent, "profile": "2g.20gb"}
    driver.publish({"gpu-2-mig-2g20gb-14-4": abstract})
    holder = run_user(node, claim_of(abstract, "holder"))
    with exporter(node, "a100-sxm") as run:
        wait_for("the owner", lambda: run.must_show({f"{parent}/{instance}": frozenset({holder})}))


def divided_gpu() -> tuple[str, int]:
    """Return the UUID of the mock's GPU with an instance 2g.20gb, and that instance's number."""
    nvml = MockNvml(load_scenario("a100-sxm"), time)
    nvml.nvmlInit()
    for index in range(nvml.nvmlDeviceGetCount()):
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        for number in range(nvml.nvmlDeviceGetMaxMigDeviceCount(handle)):
            try:
                mig = nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, number)
            except Exception:  # noqa: BLE001, S112 - a place without a MIG device
                continue
            if "2g.20gb" in nvml.nvmlDeviceGetName(mig):
                return nvml.nvmlDeviceGetUUID(handle), nvml.nvmlDeviceGetGpuInstanceId(mig)
    raise AssertionError("the mock has no such instance")


def test_running_pod_keeps_its_gpu_when_the_pool_moves_on_and_when_its_driver_goes(
    node: RealNode, driver: DraDriver, uuids: tuple[str, ...]
) -> None:
    driver.publish({"gpu-0": gpu(uuids[0])})
    first = run_user(node, claim_of(gpu(uuids[0]), "first"))
    with exporter(node, "h100-sxm") as run:
        wait_for("the owner", lambda: run.must_show({uuids[0]: frozenset({first})}))
        driver.publish({"gpu-1": gpu(uuids[1])}, generation=2)
        both = {uuids[0]: frozenset({first}), uuids[1]: frozenset({run_user(node, claim_of(gpu(uuids[1]), "second"))})}
        wait_for("both owners", lambda: run.must_show(both))
        driver.stop()
        try:
            wait_for("kubelet's removal of the slices", driver.must_have_no_slices, 120.0)
            seen = len(run.scrapes)
            wait_for("more scrapes", lambda: run.must_have_scraped(seen + SCRAPES))
        finally:
            driver.start()  # without it the pods can't end
        assert all(scrape.owners == both for scrape in run.scrapes[seen:])
