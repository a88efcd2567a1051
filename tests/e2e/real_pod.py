"""A pod whose containers run, as programs of this machine. kwok says that it is Running; this makes it true."""

import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.e2e.api import Api, ApiError, Object, Unreachable
from tests.e2e.containers import Container
from tests.e2e.images import Images, image_of
from tests.e2e.network import PodNetwork
from tests.e2e.volumes import VolumeMissing, Volumes

_ROUND_S = 0.5
_RESTART_AFTER_S = 1.0
_COMMAND_S = 10.0


class RealPod:
    """One pod; it runs from its start on, in a thread of its own, which starts again what ends."""

    def __init__(self, api: Api, images: Images, pod: Object, folder: Path, host: Path) -> None:
        meta = pod["metadata"]
        self.name = f"{meta['namespace']}/{meta['name']}"
        self.uid: str = meta["uid"]
        self.spec: Object = pod["spec"]
        self.address: str = pod["status"]["podIP"]
        self.labels: Mapping[str, str] = meta.get("labels", {})
        self.restarts = 0
        self._folder = folder / f"{meta['namespace']}_{meta['name']}_{self.uid[:8]}"
        self._volumes = Volumes(api, pod, self._folder / "volumes", host)
        self._init = self._containers(images, pod, "initContainers")
        self._main = self._containers(images, pod, "containers")
        self._after: threading.Thread | None = None
        self._network: PodNetwork | None = None
        self._is_ending = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"pod {self.name}", daemon=True)

    def start(self, after: threading.Thread | None = None) -> None:
        """Start it; its programs wait for the end of a thread, in which an earlier pod gives back the address."""
        self._folder.mkdir(parents=True, exist_ok=True)  # it is there where the pod's node has been lost and found
        self._after = after
        self._thread.start()

    def stop(self, *, at_once: bool = False) -> None:
        """End it as kubelet does, or as a power failure does."""
        self._is_ending.set()
        grace_s = 0.0 if at_once else float(self.spec.get("terminationGracePeriodSeconds", 30))
        self._end(self._main, grace_s)
        self._end(self._init, 0.0)
        self._thread.join()
        self._end((*self._init, *self._main), 0.0)  # what has been started meanwhile
        if self._network:
            self._network.close()

    def must_run(self) -> None:
        """Raise what has ended the thread, if it has ended by itself."""
        if self._error is not None:
            raise self._error

    def log_of(self, container: str) -> Path:
        """Return the file with all that a container has said."""
        return self._folder / f"{container}.log"

    def execute(self, *command: str) -> str:
        """Return what a command of this machine prints in the pod's network.

        Raises:
            RuntimeError: It failed, or has not ended after ten seconds; the text is what it said.
        """
        if self._network is None:
            raise RuntimeError(f"{self.name} has not started")
        entered = [*self._network.enter, *command]
        try:
            done = subprocess.run(entered, capture_output=True, text=True, timeout=_COMMAND_S, check=False)
        except subprocess.TimeoutExpired as error:
            raise RuntimeError(f"{error} in {self.name}") from None
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} in {self.name}: {done.stderr.strip() or done.returncode}")
        return done.stdout

    def kill(self, container: str) -> None:
        """Kill a container's program; it is started again."""
        next(one for one in self._main if one.name == container).signal(signal.SIGKILL)

    @contextmanager
    def frozen(self, container: str) -> Iterator[None]:
        """Let a container hang for a while."""
        one = next(one for one in self._main if one.name == container)
        one.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            one.signal(signal.SIGCONT)

    def _containers(self, images: Images, pod: Object, key: str) -> tuple[Container, ...]:
        found = []
        for spec in pod["spec"].get(key, ()):
            image = image_of(images, spec["image"])
            if image is None:
                raise NotImplementedError(f"{self.name} has a container of {spec['image']}, which nobody can run here")
            found.append(Container(pod, spec, image, self._volumes))
        return tuple(found)

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001 - raised where somebody waits for the pod's work
            self._error = error

    def _work(self) -> None:
        if self._after is not None:
            self._after.join()
        self._network = PodNetwork(self.address)
        while not self._is_ending.is_set() and not self._refreshed():
            self._is_ending.wait(_ROUND_S)
        for container in self._init:
            while not self._is_ending.is_set() and self._once(container):
                self._is_ending.wait(_RESTART_AFTER_S)
        for container in self._main:
            self._start(container)
        self._keep_up()

    def _keep_up(self) -> None:
        while not self._is_ending.wait(_ROUND_S):
            self._refreshed()
            for container in self._main:
                if container.status() is not None and not self._is_ending.wait(_RESTART_AFTER_S):
                    self.restarts += 1
                    self._start(container)

    def _refreshed(self) -> bool:
        try:
            self._volumes.refresh()
        except (VolumeMissing, Unreachable, ApiError):
            return False
        return True

    def _once(self, container: Container) -> int:
        self._start(container)
        return container.wait() if container.is_started else 1

    def _start(self, container: Container) -> None:
        if not self._is_ending.is_set():
            assert self._network is not None
            folder = self._folder / f"{container.name}-{time.monotonic_ns()}"
            container.start(self._network, folder, self.log_of(container.name))

    def _end(self, containers: tuple[Container, ...], grace_s: float) -> None:
        deadline = time.monotonic() + grace_s
        if grace_s:
            for container in containers:
                container.signal(signal.SIGTERM)
        for container in containers:
            container.ends_within(max(deadline - time.monotonic(), 0))
            container.signal(signal.SIGKILL)
            container.ends_within(5)


def is_real(images: Images, pod: Object) -> bool:
    """Say whether a pod's programs can be run, all or some."""
    containers: Any = (*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"])
    return any(image_of(images, one["image"]) for one in containers)
