"""The mock as a machine: its NVML, and either a fake kubelet that lists its pods, or a device plugin for a real one."""

import logging
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from exporter.errors import ConfigError
from exporter.mock import MockNvml, load_scenario
from exporter.mock.machine.pods import MockPod
from exporter.mock.steering.server import Steering
from exporter.settings import Settings
from podresources.device_plugin import DevicePlugin, real_plugin
from podresources.fake_kubelet import FakeKubelet
from podresources.fake_pods import Container, Pod

log = logging.getLogger(__name__)


class MockMachine:
    """A mock NVML with its kubelet or device plugins, made but not started.

    Attributes:
        nvml: What stands where pynvml stands.
        socket: Where the fake kubelet serves PodResources; None where the settings name another kubelet's socket.
        has_pods: Whether the machine has pods of its own, or can be given some.
    """

    def __init__(self, settings: Settings) -> None:
        """Read the scenario and, where steering is asked for, open its port.

        Raises:
            ConfigError: The scenario is neither a profile nor a sound file, or the port or a folder can't be had.
        """
        self.nvml = MockNvml(load_scenario(settings.mock or ""), time)
        self.socket: Path | None = None
        self._resources = ExitStack()
        self._kubelet: FakeKubelet | None = None
        pods = self.nvml.pods()
        port = settings.mock_steering_port
        self.has_pods = bool(pods) or port > 0
        if "pod-resources-kubelet-socket" not in settings.given:
            with _explained():
                temporary = tempfile.gettempdir()
            self.socket = Path(temporary, f"gpu-exporter-mock-{secrets.token_hex(4)}", "kubelet.sock")
            self._kubelet = FakeKubelet(self.socket, _pods(pods))
        self._plugins = _device_plugins(settings, self.nvml)
        self._steering = Steering(self.nvml, port, self._set_pods) if port else None

    def start(self, holders: Callable[[], Mapping[str, frozenset[tuple[str, str]]]]) -> None:
        """Serve the pods; `holders` says which pods hold a device, by its UUID, for loads that pods share.

        Raises:
            ConfigError: The fake kubelet's socket can't be had.
        """
        self.nvml.follow(holders)
        if self._kubelet is not None and self.socket is not None:
            with _explained():
                folder = self.socket.parent
                folder.mkdir(mode=0o700)
                self._resources.callback(shutil.rmtree, folder, ignore_errors=True)
                self._resources.enter_context(self._kubelet)
            log.info("the mock's kubelet serves %s", self.socket)
        for plugin in self._plugins:
            self._resources.enter_context(plugin)
        if self._steering is not None:
            self._resources.enter_context(self._steering)

    def stop(self) -> None:
        """End the kubelet, the device plugins and the steering, and remove the socket."""
        self._resources.close()

    def _set_pods(self, pods: Iterable[MockPod]) -> None:
        if self._kubelet is not None:
            self._kubelet.set_pods(_pods(pods))


def _device_plugins(settings: Settings, nvml: MockNvml) -> tuple[DevicePlugin, ...]:
    if settings.mock_device_plugin is None:
        return ()
    place, folder = settings.place("mock-device-plugin"), Path(settings.mock_device_plugin)
    if not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
        raise ConfigError(f"{place}: {folder} is not a directory that this user can write to")
    real = real_plugin(folder)
    if real is not None:  # kubelet would forget the real GPUs
        raise ConfigError(f"{place}: {real} is the socket of a device plugin for real GPUs; remove that plugin first")
    return tuple(DevicePlugin(uuids, resource, folder) for resource, uuids in nvml.devices().items())


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"the mock's kubelet needs a directory for its socket: {error}; set TMPDIR to one, or"
            " --pod-resources-kubelet-socket to the socket of another kubelet"
        ) from error


def _pods(pods: Iterable[MockPod]) -> tuple[Pod, ...]:
    return tuple(
        Pod(pod.namespace, pod.name, tuple(Container(c.name, c.devices) for c in pod.containers)) for pod in pods
    )
