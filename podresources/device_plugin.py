"""A device plugin that offers a real kubelet devices which need not exist, whole or shared, as NVIDIA's does."""

import logging
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc

from podresources.v1beta1.deviceplugin_pb2 import (
    AllocateRequest,
    AllocateResponse,
    ContainerAllocateResponse,
    Device,
    DevicePluginOptions,
    Empty,
    ListAndWatchResponse,
    NUMANode,
    RegisterRequest,
    TopologyInfo,
)

log = logging.getLogger(__name__)

GPU = "nvidia.com/gpu"
FOLDER = Path("/var/lib/kubelet/device-plugins")  # fixed in kubelet, whatever its --root-dir
VISIBLE_DEVICES = "NVIDIA_VISIBLE_DEVICES"

_VERSION = "v1beta1"
_LOOK_S = 0.2
_AGAIN_S = 1.0
_CALL_S = 5.0


class DevicePlugin:
    """A plugin for one resource; it registers, and registers again whenever kubelet has restarted.

    Args:
        uuids: What it offers at first.
        resource: Under which name.
        folder: Where kubelet listens for plugins, and where this one gets its socket.
    """

    def __init__(self, uuids: Sequence[str], resource: str = GPU, folder: Path = FOLDER) -> None:
        self.resource = resource
        self._kubelet = folder / "kubelet.sock"
        self._socket = folder / f"{resource.replace('/', '-')}.sock"
        self._change = threading.Condition()
        self._ids = device_ids(uuids, replicas=1)
        self._edition = 0
        self._is_ending = threading.Event()
        self._thread = threading.Thread(target=self._stay_registered, name=f"device plugin {resource}", daemon=True)

    @property
    def ids(self) -> tuple[str, ...]:
        """The device ids on offer: UUIDs, or with replicas `UUID::0` and so on."""
        return self._ids

    def offer(self, uuids: Sequence[str], replicas: int = 1) -> None:
        """Offer other devices from now on."""
        with self._change:
            self._ids = device_ids(uuids, replicas)
            self._edition += 1
            self._change.notify_all()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_ending.set()
        with self._change:
            self._change.notify_all()
        self._thread.join()

    def _stay_registered(self) -> None:
        trouble = ""
        while not self._is_ending.is_set():
            before, trouble = trouble, self._try_to_serve()
            if trouble not in ("", before):
                log.warning("kubelet does not get %s, trying again: %s", self.resource, trouble)
            self._is_ending.wait(_AGAIN_S if trouble else _LOOK_S)

    def _try_to_serve(self) -> str:
        """Serve for as long as kubelet knows of it; returns why it can't be done, or nothing."""
        try:
            if not self._kubelet.exists():
                return f"there is no {self._kubelet}"
            self._serve_until_removed()
        except grpc.RpcError as error:
            return f"{error.code().name}, {error.details()}"
        except (OSError, RuntimeError) as error:  # gRPC has a RuntimeError for a socket that it can't make
            return str(error)
        return ""

    def _serve_until_removed(self) -> None:
        """Serve and register once. A kubelet that starts removes every plugin's socket, and that ends it."""
        self._socket.unlink(missing_ok=True)
        with ThreadPoolExecutor(max_workers=4) as threads:
            server = grpc.server(threads)
            server.add_generic_rpc_handlers((self._service(),))
            server.add_insecure_port(f"unix:{self._socket}")
            server.start()
            try:
                self._register()
                log.info("kubelet has %d devices of the device plugin as %s", len(self._ids), self.resource)
                while self._socket.exists() and not self._is_ending.wait(_LOOK_S):
                    pass
            finally:
                server.stop(grace=None).wait()

    def _register(self) -> None:
        request = RegisterRequest(version=_VERSION, endpoint=self._socket.name, resource_name=self.resource)
        with grpc.insecure_channel(f"unix:{self._kubelet}") as channel:
            call = channel.unary_unary(
                "/v1beta1.Registration/Register", RegisterRequest.SerializeToString, Empty.FromString
            )
            call(request, timeout=_CALL_S)

    def _service(self) -> grpc.GenericRpcHandler:
        handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            "GetDevicePluginOptions": grpc.unary_unary_rpc_method_handler(
                lambda _request, _context: DevicePluginOptions(),
                Empty.FromString,
                DevicePluginOptions.SerializeToString,
            ),
            "ListAndWatch": grpc.unary_stream_rpc_method_handler(
                self._list_and_watch, Empty.FromString, ListAndWatchResponse.SerializeToString
            ),
            "Allocate": grpc.unary_unary_rpc_method_handler(
                self._allocate, AllocateRequest.FromString, AllocateResponse.SerializeToString
            ),
        }
        return grpc.method_handlers_generic_handler("v1beta1.DevicePlugin", handlers)

    def _list_and_watch(self, _request: Empty, context: Any) -> Iterator[ListAndWatchResponse]:
        context.add_callback(self._wake)
        while True:
            with self._change:
                edition, ids = self._edition, self._ids
            numa = TopologyInfo(nodes=[NUMANode(ID=0)])
            yield ListAndWatchResponse(devices=[Device(ID=name, health="Healthy", topology=numa) for name in ids])
            if not self._wait_for_change(edition, context):
                return

    def _wait_for_change(self, edition: int, context: Any) -> bool:
        """Wait until other devices are on offer; returns False where the stream is over."""
        with self._change:
            while self._edition == edition:
                if self._is_ending.is_set() or not context.is_active():
                    return False
                self._change.wait()
        return True

    def _wake(self) -> None:
        with self._change:
            self._change.notify_all()

    @staticmethod
    def _allocate(request: AllocateRequest, _context: Any) -> AllocateResponse:
        gpus = [sorted({name.partition("::")[0] for name in asked.devices_ids}) for asked in request.container_requests]
        responses = [ContainerAllocateResponse(envs={VISIBLE_DEVICES: ",".join(uuids)}) for uuids in gpus]
        return AllocateResponse(container_responses=responses)


def real_plugin(folder: Path) -> Path | None:
    """Return the socket of a device plugin for real GPUs: NVIDIA's is nvidia-gpu.sock, GKE's nvidiaGPU-NUMBER.sock."""
    return min((*folder.glob("nvidia-*.sock"), *folder.glob("nvidiaGPU-*.sock")), default=None)


def device_ids(uuids: Sequence[str], replicas: int) -> tuple[str, ...]:
    """Return the ids under which a device plugin offers GPUs that it shares among so many pods."""
    if replicas == 1:
        return tuple(uuids)
    return tuple(f"{uuid}::{number}" for uuid in uuids for number in range(replicas))
