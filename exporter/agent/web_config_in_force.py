"""The web configuration in force: read at start, and again when one of its files changes."""

import logging
import time
from dataclasses import dataclass

from exporter.errors import ConfigError
from exporter.model import Clock
from exporter.server.web_config.document import WebConfig, read_web_config
from exporter.server.web_config.files import FilesRead
from podresources.periodic import Periodic

log = logging.getLogger(__name__)

LOOK_S = 1.0

SETTLE_S = 0.2
"""How long files must stay unchanged after they were read: a file may be read while it is being written."""


@dataclass(frozen=True, slots=True)
class _WebConfigRead:
    """What was read; `success` is of the newest reading, the rest of the newest good one."""

    config: WebConfig
    success: bool
    read_at: float


class WebConfigInForce:
    """The newest good web configuration of a file, which is followed from `start` to `stop`.

    A bad file at a reload leaves it as it is. Connections that are open keep their TLS; users and headers count from
    the next request on.
    """

    def __init__(self, path: str | None, clock: Clock) -> None:
        """Read the file; without one the server is as it is by itself.

        Raises:
            ConfigError: A file can't be read, or asks for what can't be kept.
        """
        self._path = path
        self._clock = clock
        self._files = FilesRead()
        config = WebConfig() if path is None else read_web_config(path, self._files)
        self._read = _WebConfigRead(config, success=True, read_at=clock.time())
        if config.users and config.tls is None:
            log.warning("%s: clients send passwords in the clear, because there is no tls_server_config", path)
        self._periodic = Periodic(
            "web-config", self._look, LOOK_S, "reloading the web configuration failed; the old one stays in force"
        )

    def start(self) -> None:
        """Begin to follow the file; returns at once."""
        if self._path is not None:
            self._periodic.start()

    def stop(self) -> None:
        """End within a second, also while reading a file hangs."""
        self._periodic.stop()

    def config(self) -> WebConfig:
        """Return the configuration in force."""
        return self._read.config

    def scheme(self) -> str:
        """Return https where TLS is served, else http."""
        return "http" if self._read.config.tls is None else "https"

    def reloaded(self) -> tuple[bool, float] | None:
        """Return whether the newest file was good, and when the one in force was read; None without a file."""
        return None if self._path is None else (self._read.success, self._read.read_at)

    def _look(self) -> None:
        if self._path is None or not self._files.have_changed():
            return
        files = FilesRead()
        try:
            read = _WebConfigRead(read_web_config(self._path, files), success=True, read_at=self._clock.time())
        except ConfigError as error:
            read = _WebConfigRead(self._read.config, success=False, read_at=self._read.read_at)
            result = f"the web configuration was not reloaded, the old one stays in force: {error}"
        else:
            result = f"web configuration read from {self._path}"
        time.sleep(SETTLE_S)
        if not files.have_changed():
            self._files, self._read = files, read
            log.log(logging.INFO if read.success else logging.ERROR, "%s", result)
