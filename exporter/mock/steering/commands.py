"""What a running mock can be told: the requests of the steering interface, apart from how they arrive."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import unquote

from exporter.errors import ConfigError
from exporter.mock.document import Section
from exporter.mock.machine.device import MockGpu
from exporter.mock.machine.drive import Drive
from exporter.mock.machine.faults import read_fault
from exporter.mock.machine.machine import Machine
from exporter.mock.machine.pods import MockPod
from exporter.mock.machine.scenario import ScenarioPod
from exporter.mock.scenario.demand_file import gpus_worth
from exporter.mock.scenario.pod_file import parse_pod, parse_pods
from exporter.mock.steering.state import state_of

REQUEST = "request"
"""What errors call the content of a request."""

T = TypeVar("T")
_Act = Callable[[list[str], Section], None]


class UnknownCommand(Exception):
    """No command has this method and path."""


@dataclass(frozen=True, slots=True)
class _Command:
    """A method and a path, in which parts in capitals stand for names, and what to do."""

    method: str
    path: str
    act: _Act

    def names_in(self, method: str, path: str) -> list[str] | None:
        """Return the names that a request has in the path; None for a request that is not this one."""
        ours, theirs = self.path.split("/"), path.split("/")
        if method != self.method or len(ours) != len(theirs):
            return None
        pairs = list(zip(ours, theirs, strict=True))
        if any(our != their for our, their in pairs if not our.isupper()):
            return None
        return [unquote(their) for our, their in pairs if our.isupper()]


class Commands:
    """All that a machine can be told.

    Args:
        machine: The machine.
        on_pods: Is told the pods after each change of them.
    """

    def __init__(self, machine: Machine, on_pods: Callable[[tuple[MockPod, ...]], None]) -> None:
        self._machine = machine
        self._on_pods = on_pods
        self._obeying = threading.Lock()
        self._commands = (
            _Command("GET", "/state", lambda _names, _content: None),
            _Command("PUT", "/demands/NAME", self._set_demand),
            _Command("PUT", "/gpus/GPU/load", self._set_load),
            _Command("DELETE", "/gpus/GPU/load", self._end_load),
            _Command("PUT", "/gpus/GPU/mig/DEVICE/load", self._set_load),
            _Command("DELETE", "/gpus/GPU/mig/DEVICE/load", self._end_load),
            _Command("POST", "/gpus/GPU/faults", self._add_fault),
            _Command("DELETE", "/gpus/GPU/faults", self._mend),
            _Command("PUT", "/pods", self._set_pods),
            _Command("POST", "/pods", self._add_pod),
            _Command("DELETE", "/pods/NAMESPACE/POD", self._remove_pod),
        )

    def listed(self) -> Iterator[str]:
        """Yield every command's method and path."""
        for command in self._commands:
            yield f"{command.method} {command.path}"

    def obey(self, method: str, path: str, content: Any) -> dict[str, Any]:
        """Do what a request asks for.

        Args:
            method: PUT, for instance.
            path: Percent-encoded, without a query.
            content: The request's content, parsed; an empty mapping for one that has none.

        Returns:
            The machine's state afterwards, ready for JSON.

        Raises:
            ConfigError: The content or a name in the path is wrong.
            UnknownCommand: There is no such command.
        """
        for command in self._commands:
            names = command.names_in(method, path)
            if names is not None:
                with self._obeying:
                    command.act(names, Section(content, REQUEST))
                    self._machine.tick()
                    return state_of(self._machine)
        raise UnknownCommand

    def _set_demand(self, names: list[str], content: Section) -> None:
        demands = self._machine.demands
        if names[0] not in demands:
            raise ConfigError(f"demand {names[0]!r} does not exist; the demands are: {', '.join(demands) or 'none'}")
        gpus = gpus_worth(content)
        content.finish()
        self._machine.set_demand(names[0], gpus)

    def _set_load(self, names: list[str], content: Section) -> None:
        percent = content.number("percent", 0, 100)
        content.finish()
        self._machine.set_level(self._drive(names), percent / 100)

    def _end_load(self, names: list[str], _content: Section) -> None:
        self._machine.set_level(self._drive(names), None)

    def _add_fault(self, names: list[str], content: Section) -> None:
        self._machine.add_fault(self._gpu(names[0]), read_fault(content, self._machine.now()))

    def _mend(self, names: list[str], _content: Section) -> None:
        self._machine.mend(self._gpu(names[0]))

    def _set_pods(self, _names: list[str], content: Section) -> None:
        content.raw("pods")
        pods = parse_pods(content, self._machine.scenario.gpus)
        content.finish()
        self._hold(pods)

    def _add_pod(self, _names: list[str], content: Section) -> None:
        pod = parse_pod(content, self._machine.scenario.gpus)
        if any((pod.namespace, pod.name) == (other.namespace, other.name) for other in self._machine.pods):
            raise ConfigError(f"pod {pod.namespace}/{pod.name} already exists; delete it first")
        self._hold((*self._machine.pods, pod))

    def _remove_pod(self, names: list[str], _content: Section) -> None:
        namespace, name = names
        left = tuple(pod for pod in self._machine.pods if (pod.namespace, pod.name) != (namespace, name))
        if len(left) == len(self._machine.pods):
            raise ConfigError(f"pod {namespace}/{name} does not exist")
        self._hold(left)

    def _hold(self, pods: tuple[ScenarioPod, ...]) -> None:
        self._machine.set_pods(pods)
        self._on_pods(self._machine.mock_pods())

    def _gpu(self, index: str) -> MockGpu:
        return _at(self._machine.gpus, index, "GPU")

    def _drive(self, names: list[str]) -> Drive:
        gpu = self._gpu(names[0])
        if len(names) > 1:
            return _at(gpu.instances, names[1], f"MIG device of GPU {gpu.index}").drive
        if gpu.is_divided:
            raise ConfigError(
                f"GPU {gpu.index} is divided by MIG; name one of its devices: /gpus/{gpu.index}/mig/0/load"
            )
        return gpu.drive


def _at(items: Sequence[T], index: str, kind: str) -> T:
    if not index.isascii() or not index.isdigit() or int(index) >= len(items):
        there = f"0 to {len(items) - 1}" if items else "none"
        raise ConfigError(f"{kind} {index!r} does not exist; the numbers are {there}")
    return items[int(index)]
