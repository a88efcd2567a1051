"""A DRA driver that offers made-up GPUs to a real kubelet as gpu.nvidia.com, with slices that a test publishes."""

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc

from tests.cluster.certificates import NODE_NAME
from tests.cluster.control_plane import ControlPlane
from tests.kubelet.dra_v1.dra_pb2 import (
    Device,
    NodePrepareResourceResponse,
    NodePrepareResourcesRequest,
    NodePrepareResourcesResponse,
    NodeUnprepareResourceResponse,
    NodeUnprepareResourcesRequest,
    NodeUnprepareResourcesResponse,
)
from tests.kubelet.dra_v1.registration_pb2 import (
    InfoRequest,
    PluginInfo,
    RegistrationStatus,
    RegistrationStatusResponse,
)
from tests.waiting import NotYet, wait_for

DRIVER = "gpu.nvidia.com"
FOLDER = Path("/var/lib/kubelet/plugins") / DRIVER
REGISTRY = Path("/var/lib/kubelet/plugins_registry")  # kubelet watches this folder

Attributes = Mapping[str, str]


class DraDriver:
    """A driver that is registered while `with` lasts; it prepares whatever the scheduler has allocated."""

    def __init__(self, cluster: ControlPlane) -> None:
        self._cluster = cluster
        self._is_registered = threading.Event()
        self._servers = ExitStack()
        self._starts = 0

    def publish(self, devices: Mapping[str, Attributes], generation: int = 1, slice_name: str = "gpus") -> None:
        """Publish a slice of the pool node0, or replace it; other slices stay as they are."""
        spec = {
            "driver": DRIVER,
            "nodeName": NODE_NAME,
            "pool": {"name": NODE_NAME, "generation": generation, "resourceSliceCount": 1},
            "devices": [
                {"name": name, "attributes": {key: {"string": value} for key, value in attributes.items()}}
                for name, attributes in devices.items()
            ],
        }
        kind = {"apiVersion": "resource.k8s.io/v1", "kind": "ResourceSlice"}
        self._cluster.kubectl("apply", manifests=[{**kind, "metadata": {"name": slice_name}, "spec": spec}])

    def start(self) -> None:
        """Serve and register, on other sockets each time."""
        self._starts += 1
        self._is_registered.clear()
        self._serve(self._socket, "k8s.io.kubelet.pkg.apis.dra.v1.DRAPlugin", self._driver_methods())
        self._serve(self._registration, "pluginregistration.Registration", self._registration_methods())
        wait_for("the driver's registration", self._must_be_registered)

    def stop(self) -> None:
        """Go away, as a driver that is updated."""
        self._registration.unlink(missing_ok=True)
        self._servers.close()

    def must_have_no_slices(self) -> None:
        """Raise NotYet while there are slices."""
        if slices := self._cluster.get("resourceslices")["items"]:
            raise NotYet(f"{len(slices)} slices")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def _socket(self) -> Path:
        return FOLDER / f"{self._starts}.sock"

    @property
    def _registration(self) -> Path:
        return REGISTRY / f"{DRIVER}-{self._starts}-reg.sock"

    def _must_be_registered(self) -> None:
        if not self._is_registered.is_set():
            raise NotYet("kubelet has not said so")

    def _serve(self, socket: Path, service: str, methods: "dict[str, grpc.RpcMethodHandler[Any, Any]]") -> None:
        socket.parent.mkdir(parents=True, exist_ok=True)
        socket.unlink(missing_ok=True)
        server = grpc.server(self._servers.enter_context(ThreadPoolExecutor(max_workers=4)))
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, methods),))
        server.add_insecure_port(f"unix:{socket}")
        server.start()
        self._servers.callback(lambda: server.stop(grace=None).wait())

    def _registration_methods(self) -> "dict[str, grpc.RpcMethodHandler[Any, Any]]":
        return {
            "GetInfo": grpc.unary_unary_rpc_method_handler(
                self._info, InfoRequest.FromString, PluginInfo.SerializeToString
            ),
            "NotifyRegistrationStatus": grpc.unary_unary_rpc_method_handler(
                self._notify, RegistrationStatus.FromString, RegistrationStatusResponse.SerializeToString
            ),
        }

    def _driver_methods(self) -> "dict[str, grpc.RpcMethodHandler[Any, Any]]":
        return {
            "NodePrepareResources": grpc.unary_unary_rpc_method_handler(
                self._prepare, NodePrepareResourcesRequest.FromString, NodePrepareResourcesResponse.SerializeToString
            ),
            "NodeUnprepareResources": grpc.unary_unary_rpc_method_handler(
                self._unprepare,
                NodeUnprepareResourcesRequest.FromString,
                NodeUnprepareResourcesResponse.SerializeToString,
            ),
        }

    def _info(self, _request: InfoRequest, _context: Any) -> PluginInfo:
        versions = ["v1.DRAPlugin"]
        return PluginInfo(type="DRAPlugin", name=DRIVER, endpoint=str(self._socket), supported_versions=versions)

    def _notify(self, status: RegistrationStatus, _context: Any) -> RegistrationStatusResponse:
        if status.plugin_registered:
            self._is_registered.set()
        return RegistrationStatusResponse()

    def _prepare(self, request: NodePrepareResourcesRequest, _context: Any) -> NodePrepareResourcesResponse:
        prepared = {
            claim.uid: NodePrepareResourceResponse(devices=self._allocated(claim.namespace, claim.name))
            for claim in request.claims
        }
        return NodePrepareResourcesResponse(claims=prepared)

    def _allocated(self, namespace: str, name: str) -> list[Device]:
        claim = self._cluster.get("resourceclaim", name, "-n", namespace)
        return [
            Device(request_names=[result["request"]], pool_name=result["pool"], device_name=result["device"])
            for result in claim["status"]["allocation"]["devices"]["results"]
            if result["driver"] == DRIVER
        ]

    @staticmethod
    def _unprepare(request: NodeUnprepareResourcesRequest, _context: Any) -> NodeUnprepareResourcesResponse:
        return NodeUnprepareResourcesResponse(
            claims={claim.uid: NodeUnprepareResourceResponse() for claim in request.claims}
        )
