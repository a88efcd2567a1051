"""Nodes that kwok plays: each has a kwok of its own, as a real one has a kubelet, and can be lost with it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.cluster.certificates import API_SERVER
from tests.cluster.control_plane import ControlPlane
from tests.cluster.programs import Program
from tests.e2e.api import Object

SILENCE_S = 12
"""After that a node counts as lost."""

GPU_LABEL = {"nvidia.com/gpu.present": "true"}
GPU_TAINT = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}

_LEASE_S = 8  # kwok renews a node's lease four times in that
_PORT = 10260  # and on; a real kubelet has 10250


class KwokNodes:
    """The kwoks of some nodes."""

    def __init__(self, control_plane: ControlPlane, manifests: Path, folder: Path) -> None:
        self._control_plane = control_plane
        self._stages = folder / "stages.yaml"
        self._manifests = manifests
        self._programs: dict[str, Program] = {}

    def start(self, names: Sequence[str]) -> Mapping[str, Program]:
        """Start a kwok for each of these nodes."""
        texts = [file.read_text() for file in sorted(self._manifests.glob("stage-*.yaml"))]
        self._stages.write_text("---\n".join(texts))
        for number, name in enumerate(names):
            self._programs[name] = self._kwok(name, number)
            self._programs[name].start()
        return self._programs

    def lose(self, name: str) -> None:
        """Let a node fall silent."""
        self._programs[name].kill()

    def find(self, name: str) -> None:
        """Let a lost node speak again."""
        self._programs[name].start()

    def _kwok(self, name: str, number: int) -> Program:
        pki, port = self._control_plane.certificates, _PORT + number
        return self._control_plane.program(
            "kwok",
            f"--kubeconfig={pki}/admin.kubeconfig",
            f"--config={self._stages}",
            f"--manage-single-node={name}",
            f"--cidr=10.78.{number}.1/24",
            f"--node-ip={API_SERVER}",
            f"--node-port={port}",
            f"--server-address={API_SERVER}:{port}",
            f"--tls-cert-file={pki}/server.crt",
            f"--tls-private-key-file={pki}/server.key",
            "--enable-crds=PortForward",
            f"--node-lease-duration-seconds={_LEASE_S}",
        )


def node(name: str, devices: Mapping[str, Sequence[str]]) -> Object:
    """Return a node that offers devices; with some it is labelled and tainted as GPU nodes are."""
    size = {"cpu": "32", "memory": "256Gi", "pods": "110", **{key: str(len(ids)) for key, ids in devices.items()}}
    labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}
    # Both kinds: of a node that comes back and has one of them alone, kwok's stage takes it away.
    addresses = [{"type": "InternalIP", "address": API_SERVER}, {"type": "Hostname", "address": name}]
    taints = []
    if devices:
        labels |= GPU_LABEL
        taints = [GPU_TAINT]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": {"taints": taints},
        "status": {"addresses": addresses, "allocatable": size, "capacity": size},
    }
