"""What can be asked from where the doctor stands: this machine and the API server. Each is asked once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar

from exporter.agent.inputs import nvml_library
from exporter.doctor.nvml_look import NvmlSeen, look_at_nvml
from exporter.errors import ConfigError, ExporterError, KubeError
from exporter.kube import ApiServer, connect, read_objects
from exporter.settings import Settings

T = TypeVar("T")

Object = Mapping[str, Any]
"""What the API server has of something."""

MOST_SILENCES = 3
"""After this many requests without an answer, doctor stops asking the API server: each takes some seconds."""

_NVIDIA = "0x10de"
_WITH_GPU = ("dev/nvidiactl", "proc/driver/nvidia/version", "dev/dxg")


@dataclass(frozen=True, slots=True)
class Asked:
    """What the user wants to have looked at.

    Attributes:
        settings: What an exporter here has been told.
        url: An exporter's page; "" for those that are found.
        prometheus: Prometheus; "" for the one that is found.
        kubeconfig: How to reach the API server, if not as usual.
        namespace: Whose autoscalers are looked at; "" for all.
        environ: The environment.
        root: Where this machine's files are.
    """

    settings: Settings
    url: str = ""
    prometheus: str = ""
    kubeconfig: Path | None = None
    namespace: str = ""
    environ: Mapping[str, str] = field(default_factory=dict)
    root: Path = Path("/")


class Surroundings:
    """Everything that links are looked at through."""

    def __init__(self, asked: Asked, reach: Callable[[Path | None], ApiServer] = connect) -> None:
        self.asked = asked
        self.settings = asked.settings
        self._reach = reach
        self._answers: dict[object, Any] = {}
        self._silences = 0
        self._api: ApiServer | None = None

    @property
    def is_in_pod(self) -> bool:
        """Tell whether this is a pod of a cluster."""
        return "KUBERNETES_SERVICE_HOST" in self.asked.environ

    @cached_property
    def belongs_here(self) -> bool:
        """Tell whether an exporter belongs on this machine: there is a GPU, it is a pod, or a mock is asked for."""
        root = self.asked.root
        vendors = root.glob("sys/bus/pci/devices/*/vendor")
        return (
            self.is_in_pod
            or self.settings.mock is not None
            or any((root / path).exists() for path in _WITH_GPU)
            or any(_text_of(vendor) == _NVIDIA for vendor in vendors)
        )

    @cached_property
    def nvml(self) -> NvmlSeen:
        """Return what NVML says here."""
        return look_at_nvml(nvml_library(self.settings), self.settings)

    def text_of(self, path: str) -> str:
        """Return what a small file of this machine says; nothing where it can't be read."""
        return _text_of(self.asked.root / path)

    @cached_property
    def api_trouble(self) -> ExporterError | None:
        """Return why the API server can't be asked, if so."""
        try:
            self._server.get("/version")
        except (ConfigError, KubeError) as error:
            return error
        return None

    @property
    def api(self) -> ApiServer:
        """Return the API server.

        Raises:
            KubeError: It can't be asked, which the link `api` explains, or has been silent too often since.
        """
        if self.api_trouble is not None or self._silences >= MOST_SILENCES:
            raise KubeError("this needs the API server")
        return self._server

    @property
    def _server(self) -> ApiServer:
        if self._api is None:
            self._api = self._reach(self.asked.kubeconfig)
        return self._api

    def close(self) -> None:
        """Close the connections to the API server."""
        if self._api is not None:
            self._api.close()

    def objects(self, path: str, **query: str) -> list[dict[str, Any]]:
        """Return all objects of a path; none where their kind does not exist.

        Raises:
            KubeError: They can't be read.
        """

        def read() -> list[dict[str, Any]]:
            try:
                return read_objects(self.api, path, tuple(query.items()))
            except KubeError as error:
                if error.status == HTTPStatus.NOT_FOUND:
                    return []
                raise

        return self.once((path, *query.items()), read)

    def entry(self, path: str, **query: str) -> dict[str, Any] | None:
        """Return one object; None where there is none.

        Raises:
            KubeError: It can't be read.
        """

        def read() -> dict[str, Any] | None:
            try:
                return dict(self.api.get(path, tuple(query.items())))
            except KubeError as error:
                if error.status == HTTPStatus.NOT_FOUND:
                    return None
                raise

        return self.once((path, "one", *query.items()), read)

    def once(self, key: object, read: Callable[[], T]) -> T:
        """Return what was read, or raise what was raised, the first time."""
        if key not in self._answers:
            try:
                self._answers[key] = read()
            except ExporterError as error:
                self._answers[key] = error
                self._silences += isinstance(error, KubeError) and error.status == 0
        answer = self._answers[key]
        if isinstance(answer, ExporterError):
            raise answer
        found: T = answer
        return found


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\0\n ")
    except OSError:
        return ""
