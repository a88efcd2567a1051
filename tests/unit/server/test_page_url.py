"""Where commands look for the exporter of this machine: by its own settings."""

from pathlib import Path

import pytest

from exporter.errors import ConfigError
from exporter.server.page_url import page_url
from tests.unit.cli.parsing import settings


@pytest.mark.parametrize(
    ("host", "asked"),
    [("", "localhost"), ("0.0.0.0", "127.0.0.1"), ("[::]", "[::1]"), ("10.0.0.7", "10.0.0.7")],  # noqa: S104
)
def test_every_interface_is_asked_at_this_machine_itself(host: str, asked: str) -> None:
    assert page_url(settings(f"--address={host}:9400")) == f"http://{asked}:9400/metrics"


def test_tls_is_spoken_where_the_web_configuration_has_it(tmp_path: Path) -> None:
    path = tmp_path / "web.yml"
    path.write_text("rate_limit: {}")
    assert page_url(settings(f"--web-config-file={path}")) == "http://localhost:9400/metrics"
    path.write_text("tls_server_config: {cert_file: only-the-server-may-read-it}")
    assert page_url(settings(f"--web-config-file={path}")) == "https://localhost:9400/metrics"


def test_what_cannot_be_known_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"web\.yml: can't read the web configuration file"):
        page_url(settings(f"--web-config-file={tmp_path / 'web.yml'}"))
