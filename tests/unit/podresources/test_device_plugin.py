"""The device plugin before a kubelet that is played: who registers where, and what it offers and gives."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue
from typing import Any

import grpc
import pytest

from podresources.device_plugin import DevicePlugin
from podresources.v1beta1.deviceplugin_pb2 import (
    AllocateRequest,
    AllocateResponse,
    ContainerAllocateRequest,
    Empty,
    ListAndWatchResponse,
    RegisterRequest,
)
from tests.waiting import PATIENCE_S, until

UUIDS = ("GPU-1", "GPU-2")


class Registry:
    """kubelet's side: it takes plugins, and asks one what it offers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.registered: Queue[RegisterRequest] = Queue()
        self.refusal = ""
        handler = grpc.unary_unary_rpc_method_handler(
            self._register, RegisterRequest.FromString, Empty.SerializeToString
        )
        self._server = grpc.server(ThreadPoolExecutor(2))
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("v1beta1.Registration", {"Register": handler}),)
        )
        self._server.add_insecure_port(f"unix:{folder}/kubelet.sock")
        self._server.start()

    def stop(self) -> None:
        self._server.stop(None).wait()

    def next_one(self) -> RegisterRequest:
        return self.registered.get(timeout=PATIENCE_S)

    def _register(self, request: RegisterRequest, context: grpc.ServicerContext) -> Empty:
        if self.refusal:
            context.abort(grpc.StatusCode.UNKNOWN, self.refusal)
        self.registered.put(request)
        return Empty()


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    registry = Registry(tmp_path)
    yield registry
    registry.stop()


def offered(channel: grpc.Channel) -> Any:
    watch = channel.unary_stream(
        "/v1beta1.DevicePlugin/ListAndWatch", Empty.SerializeToString, ListAndWatchResponse.FromString
    )
    return watch(Empty(), timeout=PATIENCE_S)


def test_it_registers_and_lists_its_devices_again_when_they_change(registry: Registry) -> None:
    with DevicePlugin(UUIDS, "nvidia.com/gpu", registry.folder) as plugin:
        known = registry.next_one()
        assert (known.version, known.resource_name) == ("v1beta1", "nvidia.com/gpu")
        with grpc.insecure_channel(f"unix:{registry.folder / known.endpoint}") as channel:
            lists = offered(channel)
            assert [device.ID for device in next(lists).devices] == list(UUIDS)
            plugin.offer(UUIDS[:1], replicas=2)
            assert [device.ID for device in next(lists).devices] == ["GPU-1::0", "GPU-1::1"]
            lists.cancel()


def test_a_container_sees_the_gpus_that_kubelet_has_chosen_for_it(registry: Registry) -> None:
    with DevicePlugin(UUIDS, folder=registry.folder):
        with grpc.insecure_channel(f"unix:{registry.folder / registry.next_one().endpoint}") as channel:
            allocate = channel.unary_unary(
                "/v1beta1.DevicePlugin/Allocate", AllocateRequest.SerializeToString, AllocateResponse.FromString
            )
            asked = ContainerAllocateRequest(devices_ids=["GPU-2::1", "GPU-1", "GPU-2::0"])
            [given] = allocate(AllocateRequest(container_requests=[asked]), timeout=PATIENCE_S).container_responses
        assert dict(given.envs) == {"NVIDIA_VISIBLE_DEVICES": "GPU-1,GPU-2"}


def test_it_registers_again_when_a_kubelet_that_starts_has_removed_its_socket(registry: Registry) -> None:
    with DevicePlugin(UUIDS, folder=registry.folder):
        (registry.folder / registry.next_one().endpoint).unlink()
        assert registry.next_one().resource_name == "nvidia.com/gpu"


def test_it_waits_for_a_kubelet_that_is_not_there_yet_and_leaves_no_socket(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with DevicePlugin(UUIDS, folder=tmp_path):
        until(lambda: f"trying again: there is no {tmp_path}/kubelet.sock" in caplog.text, lambda: caplog.text)
        registry = Registry(tmp_path)
        endpoint = tmp_path / registry.next_one().endpoint
        assert endpoint.is_socket()
    assert not endpoint.exists()
    registry.stop()


def test_a_socket_that_can_not_be_made_is_logged_and_tried_again(
    registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    place = registry.folder / "nvidia.com-gpu.sock"
    place.mkdir()
    with DevicePlugin(UUIDS, folder=registry.folder):
        until(lambda: "kubelet does not get nvidia.com/gpu, trying again: " in caplog.text, lambda: caplog.text)
        place.rmdir()
        assert registry.next_one().endpoint == place.name


def test_a_kubelet_that_refuses_it_is_asked_again_and_its_reason_logged_once(
    registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    registry.refusal = "no such version"
    with DevicePlugin(UUIDS, folder=registry.folder):
        until(lambda: "trying again: UNKNOWN, no such version" in caplog.text, lambda: caplog.text)
        registry.refusal = ""
        registry.next_one()
    assert caplog.text.count("no such version") == 1
