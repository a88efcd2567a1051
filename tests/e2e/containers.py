"""A container as a program of this machine: with the files, variables, arguments and user that the pod's spec says.

It has a root of its own: this machine's files, read through an overlay, with the image's files and the pod's volumes
mounted into it. The pod's network is given to it. What a runtime does beyond that, it has not: no cgroup, no dropped
capabilities, no seccomp.
"""

import os
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.cluster.certificates import API_SERVICE
from tests.e2e.api import Object
from tests.e2e.images import Image
from tests.e2e.network import PodNetwork
from tests.e2e.volumes import Volumes, field_of

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_NOT_IN_A_CONTAINER = ("/", "/run", "/var/log", "/var/lib/kubelet", "/var/lib/cni", "/etc/hosts")
_VARIABLE = re.compile(r"\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)")


class Container:
    """One container of a pod. It can be started again after its end."""

    def __init__(self, pod: Object, spec: Object, image: Image, volumes: Volumes) -> None:
        self.name: str = spec["name"]
        self._pod = pod
        self._spec = spec
        self._image = image
        self._volumes = volumes
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, network: PodNetwork, folder: Path, log: Path) -> None:
        """Start it; its root lies in `folder`."""
        variables = self._variables(network)
        command = [_expand(part, variables) for part in self._command()]
        script = "\n".join(self._script(folder, command))
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [*network.enter, "unshare", "--mount", "--", "sh", "-euc", script],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=variables,
                start_new_session=True,
            )

    @property
    def is_started(self) -> bool:
        return self._process is not None

    def status(self) -> int | None:
        """Return how it has ended; None while it runs."""
        return self._process.poll() if self._process else None

    def wait(self) -> int:
        assert self._process is not None
        return self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to all processes of it that are left."""
        if self._process is not None:
            try:
                os.killpg(self._process.pid, number)
            except ProcessLookupError:
                return

    def ends_within(self, seconds: float) -> bool:
        """Wait for its end; says whether it came."""
        if self._process is None:
            return True
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _command(self) -> list[str]:
        return [*self._spec.get("command", self._image.entrypoint), *self._spec.get("args", ())]

    def _variables(self, network: PodNetwork) -> dict[str, str]:
        service = {"KUBERNETES_SERVICE_HOST": API_SERVICE, "KUBERNETES_SERVICE_PORT": "443"}
        found = {"PATH": _PATH, "HOSTNAME": self._pod["metadata"]["name"], **self._image.environment, **service}
        for variable in self._spec.get("env", ()):
            if "valueFrom" in variable:
                path = variable["valueFrom"]["fieldRef"]["fieldPath"]
                found[variable["name"]] = network.address if path == "status.podIP" else field_of(self._pod, path)
            else:
                found[variable["name"]] = _expand(variable.get("value", ""), found)
        return found

    def _script(self, folder: Path, command: list[str]) -> Iterator[str]:
        root = folder / "root"
        for layer in (root, folder / "upper", folder / "work"):
            layer.mkdir(parents=True, exist_ok=True)
        layers = f"lowerdir=/,upperdir={folder}/upper,workdir={folder}/work"
        yield f"mount -t overlay -o {layers} container {root}"
        for mount_point in _mounts_of_the_machine():
            yield f"mount --rbind {shlex.quote(mount_point)} {shlex.quote(f'{root}{mount_point}')}"
        for place, source in self._image.files.items():
            yield from _bind(source, root, str(place))
        yield from _bind(Path("/etc/hosts"), root, "/etc/hosts")
        for mount in sorted(self._spec.get("volumeMounts", ()), key=lambda mount: len(mount["mountPath"])):
            yield from _bind(self._volumes.source(mount["name"]) / mount.get("subPath", ""), root, mount["mountPath"])
        if self._security("readOnlyRootFilesystem"):
            yield f"mount -o remount,bind,ro {root}"
        yield f"exec chroot {self._user()} {root} {shlex.join(command)}"

    def _user(self) -> str:
        user, group = self._security("runAsUser"), self._security("runAsGroup")
        return f"--userspec={user or 0}:{group or 0}"

    def _security(self, key: str) -> object:
        own: Mapping[str, object] = self._spec.get("securityContext", {})
        return own.get(key, self._pod["spec"].get("securityContext", {}).get(key))


def _bind(source: Path, root: Path, place: str) -> Iterator[str]:
    target = shlex.quote(f"{root}{os.path.realpath(place)}")  # a link to / would lead out of the root
    if source.is_dir():
        yield f"mkdir -p {target}"
    else:
        yield f"mkdir -p $(dirname {target}); [ -e {target} ] || : > {target}"
    yield f"mount --rbind {shlex.quote(str(source))} {target}"


def _mounts_of_the_machine() -> list[str]:
    """Return the machine's own mounts, which an overlay of its root does not have; of nested ones the outer."""
    found: list[str] = []
    for line in Path("/proc/self/mounts").read_text().splitlines():
        place = line.split()[1]
        if place not in _NOT_IN_A_CONTAINER and not any(_is_below(place, outer) for outer in (*found, "/run")):
            found.append(place)
    return found


def _is_below(place: str, outer: str) -> bool:
    return place == outer or place.startswith(f"{outer}/")


def _expand(text: str, variables: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda found: variables.get(found[1], found[0]), text)
