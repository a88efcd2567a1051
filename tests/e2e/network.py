"""Pods' network: each pod has its own, with its own address, on one bridge with the others and with the control plane.

Pods of a real kubelet are on the bridge of its CNI plugin; both bridges reach each other.
There is no kube-proxy and no DNS. An address of a Service is of no use here; its name leads to the pod behind it.
"""

import subprocess
from collections.abc import Iterable, Mapping
from contextlib import suppress
from itertools import count
from pathlib import Path

from tests.cluster.certificates import API_SERVER
from tests.e2e.api import Api, ApiError, Object, Unreachable

POD_RANGE = "10.78.0.0/16"
_BRIDGE = "pods"
_SLICES = "/apis/discovery.k8s.io/v1/endpointslices?resourceVersion=0"
_PREFIX = POD_RANGE.partition("/")[2]
_numbers = count()


def make_network(hosts: Path) -> None:
    """Make the bridge, and let a file stand in the place of /etc/hosts for all that is started from now on."""
    hosts.write_text(Path("/etc/hosts").read_text())
    _run("mount", "--bind", str(hosts), "/etc/hosts")
    for command in (
        f"link add {_BRIDGE} address {_hardware(API_SERVER)} type bridge",  # else it changes with each pod that comes
        f"link set {_BRIDGE} up",
        f"route add {POD_RANGE} dev {_BRIDGE} src {API_SERVER}",
    ):
        _run("ip", *command.split())
    for setting in ("ip_forward", f"conf/{_BRIDGE}/proxy_arp"):  # pods look for every address on their own bridge
        Path("/proc/sys/net/ipv4", setting).write_text("1")


class PodNetwork:
    """The network of one pod; it ends with the last program in it."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._holder = subprocess.Popen(
            ["unshare", "--net", "--", "sh", "-c", "echo; exec sleep infinity"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
        assert self._holder.stdout is not None
        self._holder.stdout.readline()  # it has left ours
        self._connect()

    @property
    def enter(self) -> tuple[str, ...]:
        """What to write before a command that shall run in it."""
        return ("nsenter", f"--net=/proc/{self._holder.pid}/ns/net", "--")

    def close(self) -> None:
        self._holder.kill()
        self._holder.communicate()

    def _connect(self) -> None:
        outside = f"pod{next(_numbers)}"
        inside = ("peer", "name", "eth0", "address", _hardware(self.address), "netns", str(self._holder.pid))
        _run("ip", "link", "add", outside, "type", "veth", *inside)
        _run("ip", "link", "set", outside, "up", "master", _BRIDGE)
        settings = f"link set lo up\nlink set eth0 up\naddress add {self.address}/{_PREFIX} dev eth0"
        _run(*self.enter, "ip", "-batch", "-", given=f"{settings}\nroute add default dev eth0\n")


def _hardware(address: str) -> str:
    """Return one hardware address for an address for ever: whoever has it next is reached at once, too."""
    return "02:00:" + ":".join(f"{int(part):02x}" for part in address.split("."))


class ServiceNames:
    """The names of Services in the file that stands in the place of /etc/hosts, behind the machine's own names."""

    def __init__(self, api: Api, hosts: Path) -> None:
        self._api = api
        self._hosts = hosts
        self._own = hosts.read_text().rstrip()

    def follow(self) -> None:
        """Let each name lead to the pod that is behind it now; where the API server is away, it stays."""
        with suppress(Unreachable, ApiError):
            services = _addresses_of_services(self._api.get(_SLICES))
            lines = [f"{address} {name} {name}.cluster.local" for name, address in sorted(services.items())]
            text = "\n".join([self._own, *lines, ""])
            if self._hosts.read_text() != text:
                self._hosts.write_text(text)  # the same file: it is mounted


def _addresses_of_services(slices: Iterable[Object]) -> Mapping[str, str]:
    """Return an address for each Service that has a pod, by NAME.NAMESPACE.svc."""
    found = {}
    for one in slices:
        ready = [end for end in one.get("endpoints") or () if end.get("conditions", {}).get("ready", True)]
        name = one["metadata"].get("labels", {}).get("kubernetes.io/service-name")
        if ready and name:
            found[f"{name}.{one['metadata']['namespace']}.svc"] = ready[0]["addresses"][0]
    return found


def _run(*command: str, given: str = "") -> None:
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
