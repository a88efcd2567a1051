"""One more node with GPUs, on which the GPUs alone are made up: a real kubelet runs real pods and hands out devices."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.cluster.certificates import NODE_NAME
from tests.e2e.cluster import Cluster
from tests.e2e.kwok_node import GPU_LABEL, GPU_TAINT
from tests.e2e.load import STEERING_PORT
from tests.e2e.release import RELEASE
from tests.kubelet.exporter_image import archive, import_image, name_image
from tests.kubelet.exporter_pods import wait_until_ready
from tests.kubelet.real_node import RealNode
from tests.waiting import NotYet, wait_for

_WITHIN_S = 60.0
_PUT = """
import sys, urllib.request
urllib.request.urlopen(urllib.request.Request(sys.argv[1], sys.argv[2].encode(), method="PUT"), timeout=5)
"""


class RealGpuNode:
    """It joins the cluster, with the exporter's pod ready on it, and leaves at the end of `with` without a trace."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        taint = f"{GPU_TAINT['key']}={GPU_TAINT['value']}:{GPU_TAINT['effect']}"
        self._cluster = cluster
        self._folder = folder
        self._node = RealNode(cluster.control_plane, folder, f"--register-with-taints={taint}")
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._folder.mkdir()
        with ExitStack() as stack:
            stack.callback(self._cluster.kubectl, "delete", "node", NODE_NAME, "--ignore-not-found")
            stack.enter_context(self._node)
            name_image(import_image(archive()), self._image_of_exporter())
            stack.callback(self._empty)
            self._label(*(f"{key}={value}" for key, value in GPU_LABEL.items()))
            self._exporter = wait_for("the exporter's pod on the real node", self._look_for_exporter, _WITHIN_S)
            wait_until_ready(self._node, *self._exporter)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def set_load(self, namespace: str, gpus: float) -> None:
        """Let a namespace's pods on this node have so much to do from now on."""
        where, exporter = self._exporter
        url = f"http://127.0.0.1:{STEERING_PORT}/demands/{namespace}"
        self._cluster.kubectl(
            "exec", exporter, "-n", where, "--", "python3", "-c", _PUT, url, json.dumps({"gpus": gpus})
        )

    def in_exporter(self, *command: str) -> str:
        """Return what a command prints in the exporter's container, whatever it ends with."""
        where, exporter = self._exporter
        shell = ("sh", "-c", '"$@" || true', "sh")
        return self._cluster.kubectl("exec", exporter, "-n", where, "--", *shell, *command)

    @contextmanager
    def without_kubelet(self) -> Iterator[None]:
        """Let kubelet be away as in an update, while the containers go on; it starts at the end of `with`."""
        self._node.stop_kubelet()
        try:
            yield
        finally:
            self._node.start_kubelet()

    def _image_of_exporter(self) -> str:
        spec = self._cluster.get("daemonset", RELEASE, "-n", "monitoring")["spec"]["template"]["spec"]
        [container] = spec["containers"]
        return str(container["image"])

    def _look_for_exporter(self) -> tuple[str, str]:
        found = [one for one in self._pods() if one.startswith(f"monitoring/{RELEASE}-")]
        if not found:
            raise NotYet("there is none")
        namespace, _, name = found[0].partition("/")
        return namespace, name

    def _pods(self) -> list[str]:
        here = self._cluster.get("pods", "--all-namespaces", f"--field-selector=spec.nodeName={NODE_NAME}")["items"]
        return [f"{pod['metadata']['namespace']}/{pod['metadata']['name']}" for pod in here]

    def _empty(self) -> None:
        """Let the DaemonSet take its pod away, and wait until kubelet has ended all."""
        self._label(*(f"{key}-" for key in GPU_LABEL))

        def look() -> None:
            if left := self._pods():
                raise NotYet(", ".join(left))

        wait_for("the end of the real node's pods", look, _WITHIN_S)

    def _label(self, *changes: str) -> None:
        self._cluster.kubectl("label", "node", NODE_NAME, *changes)
