import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from exporter.attribution.claims import DraDevice, DraDevices
from exporter.attribution.resource_slices import DeviceSlice, devices_of, slices_of
from exporter.kube import OwnNode, Pace, Watch
from tests.unit.fake_api_server import End, FakeApiServer
from tests.unit.fake_clock import FakeClock
from tests.waiting import until

GROUP = "resource.k8s.io"
FAST = Pace(first_s=0.01, longest_s=0.05, longest_without_right_s=0.1)

GPU = {"type": {"string": "gpu"}, "uuid": {"string": "GPU-1"}, "driverVersion": {"version": "580.1.0"}}
MIG = {
    "type": {"string": "mig"},
    "uuid": {"string": "MIG-1"},
    "parentUUID": {"string": "GPU-2"},
    "profile": {"string": "1g.10gb"},
    "index": {"int": 3},
}


@contextmanager
def watching(api: FakeApiServer) -> Iterator[Watch[DeviceSlice]]:
    slices = Watch(slices_of(OwnNode("gpu-1")), api.connect, FakeClock(), FAST)
    slices.start()
    try:
        yield slices
    finally:
        slices.stop()


def devices(slices: Watch[DeviceSlice]) -> DraDevices:
    return devices_of(slices.latest() or {})


def publish(api: FakeApiServer, name: str, *devices: dict[str, Any], pool: str = "gpu-1", generation: int = 1) -> None:
    spec = {
        "driver": "gpu.nvidia.com",
        "nodeName": "gpu-1",
        "pool": {"name": pool, "generation": generation, "resourceSliceCount": 1},
        "devices": devices,
    }
    api.put(name, "", spec=spec)


def device(name: str, attributes: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "attributes": attributes}


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize(
    ("served", "asked"),
    [
        (["v1"], "v1"),
        (["v1beta1", "v1beta2", "v1"], "v1"),
        (["v1beta1", "v1beta2"], "v1beta2"),
        (["v1alpha3", "v1beta1"], "v1beta1"),
    ],
)
def test_the_newest_version_that_is_served_is_asked_for(api: FakeApiServer, served: list[str], asked: str) -> None:
    api.groups[GROUP] = served
    publish(api, "s", device("gpu-0", GPU))
    with watching(api) as slices:
        until(lambda: devices(slices) == {("gpu-1", "gpu-0"): DraDevice("GPU-1")})
        until(lambda: len(api.requests) >= 3)
    assert [request.kind for request in api.requests] == ["discovery", "list", "watch"]
    for request in api.requests[1:]:
        assert request.path == f"/apis/{GROUP}/{asked}/resourceslices"
        assert request.query["fieldSelector"] == "spec.nodeName=gpu-1,spec.driver=gpu.nvidia.com"
        assert request.accept == "application/json", "the devices are no metadata"


def test_gpus_and_mig_devices_are_known_by_pool_and_name(api: FakeApiServer) -> None:
    api.groups[GROUP] = ["v1"]
    publish(api, "a", device("gpu-0", GPU), device("gpu-1-mig-0", MIG))
    publish(api, "b", device("gpu-0", {**GPU, "uuid": {"string": "GPU-9"}}), pool="other")
    with watching(api) as slices:
        until(lambda: len(devices(slices)) == 3)
        assert devices(slices) == {
            ("gpu-1", "gpu-0"): DraDevice("GPU-1"),
            ("gpu-1", "gpu-1-mig-0"): DraDevice("MIG-1", "1g.10gb", "GPU-2"),
            ("other", "gpu-0"): DraDevice("GPU-9"),
        }


def test_devices_in_the_old_shape_are_known_too(api: FakeApiServer) -> None:
    api.groups[GROUP] = ["v1beta1"]
    publish(api, "a", {"name": "gpu-0", "basic": {"attributes": GPU}}, {"name": "mig", "basic": {"attributes": MIG}})
    with watching(api) as slices:
        until(lambda: bool(devices(slices)))
        assert devices(slices) == {
            ("gpu-1", "gpu-0"): DraDevice("GPU-1"),
            ("gpu-1", "mig"): DraDevice("MIG-1", "1g.10gb", "GPU-2"),
        }


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"type": {"string": "gpu"}},
        {"uuid": {"string": "GPU-2"}},
        {"type": {"string": "vfio"}, "uuid": {"string": "GPU-2"}},
        {"type": {"int": 1}, "uuid": {"int": 2}},
    ],
)
def test_a_device_that_is_no_gpu_or_has_no_uuid_is_left_out(api: FakeApiServer, attributes: dict[str, Any]) -> None:
    api.groups[GROUP] = ["v1"]
    publish(api, "a", device("other", attributes), {"name": "bare"}, device("gpu-0", GPU))
    with watching(api) as slices:
        until(lambda: devices(slices) == {("gpu-1", "gpu-0"): DraDevice("GPU-1")})


def test_a_slice_without_devices_is_no_trouble(api: FakeApiServer) -> None:
    api.groups[GROUP] = ["v1"]
    api.put("a", "", spec={"pool": {"name": "gpu-1", "generation": 1, "resourceSliceCount": 1}})
    publish(api, "b", device("gpu-0", GPU))
    with watching(api) as slices:
        until(lambda: devices(slices) == {("gpu-1", "gpu-0"): DraDevice("GPU-1")})


def test_of_a_device_the_newest_generation_counts(api: FakeApiServer) -> None:
    api.groups[GROUP] = ["v1"]
    publish(api, "old", device("gpu-0", GPU), device("gpu-1", GPU), generation=1)
    publish(api, "new", device("gpu-0", {**GPU, "uuid": {"string": "GPU-2"}}), generation=2)
    publish(api, "elsewhere", device("gpu-0", GPU), pool="other", generation=1)
    with watching(api) as slices:
        until(lambda: bool(devices(slices)))
        assert devices(slices) == {
            ("gpu-1", "gpu-0"): DraDevice("GPU-2"),
            ("gpu-1", "gpu-1"): DraDevice("GPU-1"),  # a pod that holds it goes on, though it is not offered any more
            ("other", "gpu-0"): DraDevice("GPU-1"),
        }
        publish(api, "newest", device("gpu-0", {**GPU, "uuid": {"string": "GPU-3"}}), generation=10)
        until(lambda: devices(slices)["gpu-1", "gpu-0"] == DraDevice("GPU-3"))
        api.delete("newest", "")
        until(lambda: devices(slices)["gpu-1", "gpu-0"] == DraDevice("GPU-2"))


def test_mig_device_that_is_made_on_demand_has_the_uuid_of_its_gpu_alone(api: FakeApiServer) -> None:
    api.groups[GROUP] = ["v1"]
    abstract = {name: value for name, value in MIG.items() if name != "uuid"}
    publish(api, "a", device("gpu-2-mig-1g10gb-19-0", abstract))
    with watching(api) as slices:
        until(lambda: devices(slices) == {("gpu-1", "gpu-2-mig-1g10gb-19-0"): DraDevice(None, "1g.10gb", "GPU-2")})


def test_without_the_right_there_is_one_warning_and_no_device(
    api: FakeApiServer, caplog: pytest.LogCaptureFixture
) -> None:
    api.groups[GROUP] = ["v1"]
    api.refusals["list"] = 403
    publish(api, "a", device("gpu-0", GPU))
    with watching(api) as slices:
        until(lambda: len(api.asked("list")) >= 3)
        assert devices(slices) == {}
        assert slices.failing_since == 1_800_000_000.0
        api.refusals.clear()
        until(lambda: bool(devices(slices)) and slices.failing_since is None)
    (warning,) = warnings(caplog)
    assert warning.startswith("ResourceSlices of node gpu-1: the API server answered 403 ")
    assert warning.endswith("grant the service account list and watch on resourceslices of API group resource.k8s.io")


@pytest.mark.parametrize("served", [[], ["v1alpha3", "v2"]])
def test_an_api_server_without_the_api_is_asked_again(
    api: FakeApiServer, caplog: pytest.LogCaptureFixture, served: list[str]
) -> None:
    api.groups[GROUP] = served
    with watching(api) as slices:
        until(lambda: len(api.asked("discovery")) >= 3)
        assert devices(slices) == {}
        api.groups[GROUP] = ["v1"]
        publish(api, "a", device("gpu-0", GPU))
        until(lambda: bool(devices(slices)))
    (warning,) = warnings(caplog)
    assert "serves none of the versions v1, v1beta2, v1beta1 of resource.k8s.io" in warning


def test_a_version_that_is_dropped_while_we_watch_is_replaced(api: FakeApiServer) -> None:
    api.groups[GROUP] = ["v1beta1"]
    publish(api, "a", {"name": "gpu-0", "basic": {"attributes": GPU}})
    with watching(api) as slices:
        until(lambda: bool(devices(slices)) and bool(api.asked("watch")))
        api.groups[GROUP] = ["v1"]
        api.end_watch(End())
        until(lambda: api.requests[-1].path.startswith(f"/apis/{GROUP}/v1/"))
        publish(api, "a", device("gpu-0", {**GPU, "uuid": {"string": "GPU-2"}}))
        until(lambda: devices(slices) == {("gpu-1", "gpu-0"): DraDevice("GPU-2")})
