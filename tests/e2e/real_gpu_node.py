"""One more node with GPUs, on which the GPUs alone are made up: a real kubelet runs real pods and hands out devices."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

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
_TAINT = f"--register-with-taints={GPU_TAINT['key']}={GPU_TAINT['value']}:{GPU_TAINT['effect']}"
_PUT = """
import sys, urllib.request
urllib.request.urlopen(urllib.request.Request(sys.argv[1], sys.argv[2].encode(), method="PUT"), timeout=5)
"""


class RealGpuNode:
    """A real node with the exporter's pod ready on it."""

    def __init__(self, cluster: Cluster, node: RealNode) -> None:
        self._cluster = cluster
        self._node = node
        self._exporter = wait_for("the exporter's pod on the real node", self._look_for_exporter, _WITHIN_S)
        wait_until_ready(node, *self._exporter)

    def set_load(self, namespace: str, gpus: float) -> None:
        """Let a namespace's pods on this node have so much to do from now on."""
        where, exporter = self._exporter
        url = f"http://127.0.0.1:{STEERING_PORT}/demands/{namespace}"
        self._cluster.kubectl(
            "exec", exporter, "-n", where, "--", "python3", "-c", _PUT, url, json.dumps({"gpus": gpus})
        )

    @contextmanager
    def without_kubelet(self) -> Iterator[None]:
        """Let kubelet be away as in an update, while the containers go on; it starts at the end of `with`."""
        self._node.stop_kubelet()
        try:
            yield
        finally:
            self._node.start_kubelet()

    def _look_for_exporter(self) -> tuple[str, str]:
        found = [one for one in pods_there(self._cluster) if one.startswith(f"monitoring/{RELEASE}-")]
        if not found:
            raise NotYet("there is none")
        namespace, _, name = found[0].partition("/")
        return namespace, name


@contextmanager
def real_node(cluster: Cluster, folder: Path, image: str, *flags: str) -> Iterator[RealNode]:
    """Have a real node in the cluster that has the exporter's image, under a name; at the end all its pods must go."""
    folder.mkdir()
    with ExitStack() as stack:
        stack.callback(cluster.kubectl, "delete", "node", NODE_NAME, "--ignore-not-found")
        node = stack.enter_context(RealNode(cluster.control_plane, folder, *flags))
        name_image(import_image(archive()), image)
        stack.callback(wait_for, "the end of the real node's pods", lambda: _must_be_empty(cluster), _WITHIN_S)
        yield node


@contextmanager
def real_gpu_node(cluster: Cluster, folder: Path) -> Iterator[RealGpuNode]:
    """Have a real node that is labelled and tainted as GPU nodes are, and that the release's exporter runs on."""
    with real_node(cluster, folder, _image_of_exporter(cluster), _TAINT) as node:
        cluster.kubectl("label", "node", NODE_NAME, *(f"{key}={value}" for key, value in GPU_LABEL.items()))
        try:
            yield RealGpuNode(cluster, node)
        finally:
            cluster.kubectl("label", "node", NODE_NAME, *(f"{key}-" for key in GPU_LABEL))


def pods_there(cluster: Cluster) -> list[str]:
    """Return the pods of the real node, each as namespace/name."""
    here = cluster.get("pods", "--all-namespaces", f"--field-selector=spec.nodeName={NODE_NAME}")["items"]
    return [f"{pod['metadata']['namespace']}/{pod['metadata']['name']}" for pod in here]


def _image_of_exporter(cluster: Cluster) -> str:
    spec = cluster.get("daemonset", RELEASE, "-n", "monitoring")["spec"]["template"]["spec"]
    [container] = spec["containers"]
    return str(container["image"])


def _must_be_empty(cluster: Cluster) -> None:
    if left := pods_there(cluster):
        raise NotYet(", ".join(left))
