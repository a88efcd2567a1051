"""The configuration files of kubelet, containerd and the pods' network."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.cluster.requirements import find_cni_plugins
from tests.kubelet.images import PAUSE

CONTAINERD_SOCKET = "/run/containerd/containerd.sock"

_CONTAINERD = """\
version = 2
root = "{folder}/containerd"
disabled_plugins = ["io.containerd.internal.v1.opt"]
[grpc]
  address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  containerd.snapshotter = "overlayfs"
  containerd.runtimes.runc = {{ runtime_type = "io.containerd.runc.v2", options = {{ SystemdCgroup = false }} }}
  cni = {{ bin_dir = "{cni_plugins}", conf_dir = "{folder}/cni" }}
"""
_NEVER_EVICT = dict.fromkeys(("memory.available", "nodefs.available", "nodefs.inodesFree", "imagefs.available"), "0%")


def write_configuration(folder: Path, certificates: Path) -> None:
    """Write containerd.toml, kubelet.json and what they name into a folder."""
    (folder / "cni").mkdir()
    (folder / "cni" / "10-test.conflist").write_text(json.dumps(_network()))
    (folder / "resolv.conf").write_text("")
    (folder / "kubelet.json").write_text(json.dumps(_kubelet(folder, certificates)))
    containerd = _CONTAINERD.format(
        folder=folder, socket=CONTAINERD_SOCKET, pause=PAUSE, cni_plugins=find_cni_plugins()
    )
    (folder / "containerd.toml").write_text(containerd)


def _network() -> Mapping[str, Any]:
    ranges = [[{"subnet": "10.79.0.0/16"}]]
    ipam = {"type": "host-local", "ranges": ranges, "routes": [{"dst": "0.0.0.0/0"}]}
    bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "ipMasq": False, "hairpinMode": True, "ipam": ipam}
    return {"cniVersion": "0.4.0", "name": "test", "plugins": [bridge]}


def _kubelet(folder: Path, certificates: Path) -> Mapping[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "tlsCertFile": f"{certificates}/server.crt",
        "tlsPrivateKeyFile": f"{certificates}/server.key",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{certificates}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "resolvConf": f"{folder}/resolv.conf",
        "volumePluginDir": f"{folder}/volume-plugins",
        "cgroupDriver": "cgroupfs",
        "cgroupsPerQOS": True,  # pods under /kubepods, as on nodes in service
        "enforceNodeAllocatable": ["pods"],
        "failCgroupV1": False,
        "failSwapOn": False,
        "oomScoreAdj": 0,
        "nodeStatusUpdateFrequency": "1s",  # a new device plugin shows soon in the node's allocatable
        "localStorageCapacityIsolation": False,
        "makeIPTablesUtilChains": False,
        "evictionHard": _NEVER_EVICT,
    }
