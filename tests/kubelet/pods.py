"""Pods as manifests: what the tests let kubelet run."""

from collections.abc import Mapping, Sequence
from typing import Any

from podresources.device_plugin import GPU
from tests.cluster.control_plane import Manifest
from tests.kubelet.images import BUSYBOX, FOREVER


def container(
    name: str = "main", gpus: int = 0, command: str = FOREVER, resource: str = GPU, **more: Any
) -> Mapping[str, Any]:
    """Return a container that runs a shell command and asks for so many GPUs."""
    limits = {"limits": {resource: str(gpus)}} if gpus else {}
    return {
        "name": name,
        "image": BUSYBOX,
        "imagePullPolicy": "Never",
        "command": ["sh", "-c", command],
        "resources": limits,
        **more,
    }


def pod(
    name: str,
    *containers: Mapping[str, Any],
    init: Sequence[Mapping[str, Any]] = (),
    namespace: str = "default",
    restart: str = "Never",
) -> Manifest:
    """Return a pod."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "restartPolicy": restart,
            "terminationGracePeriodSeconds": 1,  # with 0 the API server forgets it while kubelet still runs it
            "automountServiceAccountToken": False,
            "initContainers": list(init),
            "containers": list(containers),
        },
    }
