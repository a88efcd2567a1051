"""Pods of the exporter's own image on a real node."""

import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any

from tests.cluster.control_plane import Manifest
from tests.kubelet.real_node import RealNode
from tests.waiting import NotYet, wait_for

PORT = 9400


def exporter_pod(name: str, image: str, *arguments: str, namespace: str = "default") -> dict[str, Any]:
    """Return a pod as Pod Security's level `restricted` wants it, with nothing that it could write to."""
    container = {
        "name": "exporter",
        "image": image,
        "imagePullPolicy": "Never",
        "args": list(arguments),
        "ports": [{"name": "metrics", "containerPort": PORT}],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": "metrics"}, "periodSeconds": 1},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "runAsUser": 65534,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "automountServiceAccountToken": False,
            "containers": [container],
            "volumes": [],
        },
    }


def with_user(pod: Manifest, uid: int) -> dict[str, Any]:
    """Return the same pod for another user."""
    changed = {"runAsUser": uid, "runAsNonRoot": uid != 0}
    container = pod["spec"]["containers"][0]
    return _with_container(pod, {"securityContext": {**container["securityContext"], **changed}})


def with_folder(pod: Manifest, path: str, source: Mapping[str, Any], *, is_writable: bool = False) -> dict[str, Any]:
    """Return the same pod with one more folder."""
    mounts: Sequence[Mapping[str, Any]] = pod["spec"]["containers"][0]["volumeMounts"]
    mount = {"name": f"folder-{len(mounts)}", "mountPath": path, "readOnly": not is_writable}
    changed = _with_container(pod, {"volumeMounts": [*mounts, mount]})
    changed["spec"]["volumes"] = [*pod["spec"]["volumes"], {"name": mount["name"], **source}]
    return changed


def with_mock(pod: Manifest) -> dict[str, Any]:
    """Return the same pod with the /tmp that the mock's own kubelet needs."""
    return with_folder(pod, "/tmp", {"emptyDir": {}}, is_writable=True)  # noqa: S108 - a folder of the pod


def run_until_ready(node: RealNode, pod: Manifest) -> str:
    """Run a pod until kubelet finds it ready; returns its address."""
    node.run(pod)
    return wait_until_ready(node, pod["metadata"]["namespace"], pod["metadata"]["name"])


def wait_until_ready(node: RealNode, namespace: str, name: str) -> str:
    """Wait until kubelet finds a pod ready; returns its address."""

    def look() -> str:
        status = node.cluster.get("pod", name, "-n", namespace)["status"]
        if {"type": "Ready", "status": "True"}.items() <= _condition(status, "Ready").items():
            return str(status["podIP"])
        raise NotYet(f"{status.get('containerStatuses')}")

    try:
        return wait_for(f"readiness of {name}", look)
    except TimeoutError as error:
        said = node.kubectl("logs", name, "-n", namespace, "--tail=10")
        raise TimeoutError(f"{error}; it said:\n{said}") from None


def page_of(address: str) -> str:
    """Return what a pod serves as /metrics."""
    with urllib.request.urlopen(f"http://{address}:{PORT}/metrics", timeout=5) as answer:
        text: str = answer.read().decode()
    return text


def _with_container(pod: Manifest, changes: Mapping[str, Any]) -> dict[str, Any]:
    [container] = pod["spec"]["containers"]
    return {**pod, "spec": {**pod["spec"], "containers": [{**container, **changes}]}}


def _condition(status: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    return next((one for one in status.get("conditions", ()) if one["type"] == kind), {})
