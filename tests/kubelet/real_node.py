"""A node that is real: kubelet on containerd. It runs enclosed."""

import json
import subprocess
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from podresources.client import KUBELET_SOCKET
from podresources.device_plugin import DevicePlugin
from tests.cluster.certificates import API_SERVER, NODE_NAME
from tests.cluster.control_plane import ControlPlane, Manifest
from tests.cluster.programs import Program
from tests.kubelet.configuration import CONTAINERD_SOCKET, write_configuration
from tests.kubelet.images import make_busybox_image
from tests.waiting import NotYet, wait_for

_START_S = 60.0
_POD_S = 60.0


class RealNode:
    """A node of a cluster, ready from `with` on. One in each enclosure, whose end takes the containers away."""

    pod_resources_socket = KUBELET_SOCKET

    def __init__(self, cluster: ControlPlane, folder: Path, *flags: str) -> None:
        self.cluster = cluster
        self.kubectl = cluster.kubectl
        self._folder = folder
        self._stack = ExitStack()
        self._started = datetime.now(UTC)
        self._containerd = Program(
            ["containerd", f"--config={folder}/containerd.toml"], self.cluster.logs / "containerd.log"
        )
        self._kubelet = self.cluster.program(
            "kubelet",
            f"--config={folder}/kubelet.json",
            f"--kubeconfig={self.cluster.certificates}/kubelet.kubeconfig",
            f"--hostname-override={NODE_NAME}",
            f"--node-ip={API_SERVER}",
            *flags,
        )

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            write_configuration(self._folder, self.cluster.certificates)
            for program in (self._containerd, self._kubelet):
                stack.callback(program.kill)
            self._containerd.start()
            self._load_image()
            self.start_kubelet()
            self.wait_until_ready()
            self.cluster.wait_for_service_account("default")
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def start_kubelet(self) -> None:
        """Start kubelet, and wait for nothing."""
        self._started = datetime.now(UTC)
        self._kubelet.start()

    def stop_kubelet(self) -> None:
        """End kubelet alone, as an update does: pods go on, its sockets stay behind."""
        self._kubelet.stop()

    def wait_until_ready(self) -> None:
        """Wait until the kubelet that runs now has told the API server that the node is ready."""
        wait_for("the node's readiness", self._look_for_readiness, _START_S)

    def wait_for_offer(self, plugin: DevicePlugin) -> None:
        """Wait until pods can be placed on what a device plugin offers, and on nothing else of it."""

        def look() -> None:
            self._must_run()
            count = self.cluster.get("node", NODE_NAME)["status"]["allocatable"].get(plugin.resource)
            if count != str(len(plugin.ids)):
                raise NotYet(f"the node has {count} of {len(plugin.ids)}")

        wait_for(f"{plugin.resource} on the node", look, _START_S)

    def create(self, *pods: Manifest) -> None:
        """Ask for pods, and wait for nothing."""
        self.kubectl("create", manifests=list(pods))

    def run(self, *pods: Manifest) -> None:
        """Create pods and wait until all their main containers run."""
        self.create(*pods)
        for pod in pods:
            self.wait_for_containers(pod, *(container["name"] for container in pod["spec"]["containers"]))

    def wait_for_containers(self, pod: Manifest, *containers: str, within_s: float = _POD_S) -> None:
        """Wait until containers of a pod run, init containers or others."""

        def look() -> None:
            status = self._status(pod)
            started = (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ()))
            if not set(containers) <= {container["name"] for container in started if "running" in container["state"]}:
                raise NotYet(_in_short(status))

        wait_for(f"the start of {', '.join(containers)} in {pod['metadata']['name']}", look, within_s)

    def wait_for_phase(self, phase: str, pod: Manifest) -> None:
        """Wait until a pod is Pending, Running, Succeeded or Failed."""

        def look() -> None:
            status = self._status(pod)
            if status["phase"] != phase:
                raise NotYet(_in_short(status))

        wait_for(f"phase {phase} of {pod['metadata']['name']}", look, _POD_S)

    def delete(self, *pods: Manifest) -> None:
        """End pods now, and wait until they are gone."""
        for pod in pods:
            meta = pod["metadata"]
            self.kubectl(
                "delete", "pod", meta["name"], "-n", meta["namespace"], "--now", "--wait", "--ignore-not-found"
            )

    def delete_all(self) -> None:
        """End every pod and wait until they are gone."""
        self.kubectl("delete", "pods", "--all", "--all-namespaces", "--wait")

    def create_namespace(self, name: str) -> None:
        """Create a namespace, and wait until it takes pods."""
        self.kubectl("create", "namespace", name)
        self.cluster.wait_for_service_account(name)

    def execute(self, pod: Manifest, container: str, *command: str) -> str:
        """Run a command in a container that runs; returns what it prints."""
        meta = pod["metadata"]
        return self.kubectl("exec", meta["name"], "-n", meta["namespace"], "-c", container, "--", *command)

    def environment_of(self, pod: Manifest, container: str) -> Mapping[str, str]:
        """Return the variables that the first process of a container was given, as it sees them itself."""
        text = self.execute(pod, container, "cat", "/proc/1/environ")
        return dict(line.split("=", 1) for line in text.split("\0") if line)

    def _status(self, pod: Manifest) -> Mapping[str, Any]:
        self._must_run()
        meta = pod["metadata"]
        status: Mapping[str, Any] = self.cluster.get("pod", meta["name"], "-n", meta["namespace"])["status"]
        return status

    def _must_run(self) -> None:
        self.cluster.must_run()
        self._containerd.must_run()
        self._kubelet.must_run()

    def _look_for_readiness(self) -> None:
        self._must_run()
        try:
            conditions = self.cluster.get("node", NODE_NAME)["status"]["conditions"]
        except RuntimeError as error:
            raise NotYet(str(error)) from None
        ready = {condition["type"]: condition for condition in conditions}.get("Ready")
        if (
            ready is None
            or ready["status"] != "True"
            or datetime.fromisoformat(ready["lastHeartbeatTime"]) < self._started
        ):
            raise NotYet(f"started at {self._started}, Ready is {ready}")

    def _load_image(self) -> None:
        image = make_busybox_image(self._folder)
        ctr = ("ctr", "--address", CONTAINERD_SOCKET, "--namespace", "k8s.io")

        def look() -> None:
            self._containerd.must_run()
            done = subprocess.run([*ctr, "version"], capture_output=True, text=True, check=False)
            if done.returncode:
                raise NotYet(done.stderr.strip())

        wait_for("containerd's answer", look, _START_S)
        subprocess.run([*ctr, "images", "import", image], check=True, capture_output=True)


def _in_short(status: Mapping[str, Any]) -> str:
    keys = ("phase", "reason", "message", "conditions", "initContainerStatuses", "containerStatuses")
    return json.dumps({key: status[key] for key in keys if key in status})
