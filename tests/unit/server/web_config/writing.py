"""A web configuration file to read, and certificates for it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.errors import ConfigError
from exporter.server.web_config.document import WebConfig, read_web_config
from exporter.server.web_config.files import FilesRead
from tests.certificates import Authority, Identity

HASH = "$2y$10$CWCEbs7mt8QFrToJR9OcG.tduEKpx9SROhWnaDHQgQX4Q6hqWNASa"
"""Of the word password: what dcgm-exporter's own integration test has."""


class Files:
    """A folder with a web configuration file and what it names."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "web.yml"
        self.authority = Authority(folder / "ca")
        self.server = self.authority.issue("server")

    def read(self, text: str) -> WebConfig:
        """Read a file of this text."""
        self.path.write_text(text)
        return read_web_config(str(self.path), FilesRead())

    def read_tls(self, more: str = "", identity: Identity | None = None) -> WebConfig:
        """Read a file with a certificate and more keys of tls_server_config."""
        return self.read(f"tls_server_config:\n  {(identity or self.server).files()}{more}")

    def refused(self, read: Callable[[], object]) -> str:
        """Return why something is refused, without the file's name."""
        with pytest.raises(ConfigError) as error:
            read()
        sentence = str(error.value)
        assert "\n" not in sentence
        assert sentence.startswith(str(self.path)), sentence
        return sentence.removeprefix(str(self.path)).removeprefix(": ").replace(str(self.folder), "FOLDER")
