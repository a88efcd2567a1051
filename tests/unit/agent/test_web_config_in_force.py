import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.agent.web_config_in_force import WebConfigInForce
from exporter.errors import ConfigError
from tests.certificates import Authority
from tests.unit.fake_clock import FakeClock
from tests.unit.server.web_config.writing import HASH
from tests.waiting import until

ANN, BOB = (f"basic_auth_users: {{{name}: {HASH}}}\n" for name in ("ann", "bob"))


class Followed:
    """A web configuration file, and the configuration in force."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "web.yml"
        self.file.write_text(ANN)
        self.web_config = WebConfigInForce(str(self.file), FakeClock())

    @property
    def users(self) -> list[bytes]:
        return list(self.web_config.config().users)

    def is_good(self) -> bool:
        reloaded = self.web_config.reloaded()
        assert reloaded is not None
        return reloaded[0]


@pytest.fixture
def followed(tmp_path: Path) -> Iterator[Followed]:
    followed = Followed(tmp_path)
    followed.web_config.start()
    yield followed
    followed.web_config.stop()


def test_another_file_is_in_force_soon(followed: Followed) -> None:
    assert followed.users == [b"ann"]
    followed.file.write_text(BOB)
    until(lambda: followed.users == [b"bob"])


def test_bad_file_leaves_the_old_configuration_in_force(followed: Followed, caplog: pytest.LogCaptureFixture) -> None:
    followed.file.write_text("basic_auth_users:")  # half a file
    until(lambda: not followed.is_good())
    assert followed.users == [b"ann"]
    until(lambda: [record.levelno for record in caplog.records].count(logging.ERROR) == 1)
    assert "the web configuration was not reloaded, the old one stays in force: " in caplog.text
    followed.file.write_text(BOB)
    until(followed.is_good)
    assert followed.users == [b"bob"]


def test_certificate_that_is_replaced_is_served_soon_and_one_without_its_key_never(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    first, second = authority.issue("first"), authority.issue("second")
    certificate, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    certificate.write_bytes(first.certificate.read_bytes())
    key.write_bytes(first.key.read_bytes())
    (tmp_path / "web.yml").write_text("tls_server_config: {cert_file: tls.crt, key_file: tls.key}")
    web_config = WebConfigInForce(str(tmp_path / "web.yml"), FakeClock())
    web_config.start()
    before = web_config.config().tls
    certificate.write_bytes(second.certificate.read_bytes())
    until(lambda: not (web_config.reloaded() or [True])[0])
    assert web_config.config().tls is before
    key.write_bytes(second.key.read_bytes())
    until(lambda: (web_config.reloaded() or [False])[0])
    assert web_config.config().tls is not before
    web_config.stop()


def test_without_a_file_there_is_nothing_to_follow() -> None:
    web_config = WebConfigInForce(None, FakeClock())
    web_config.start()
    web_config.stop()
    assert (web_config.scheme(), web_config.reloaded()) == ("http", None)


def test_file_that_is_bad_at_the_start_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="can't read the web configuration file"):
        WebConfigInForce(str(tmp_path / "none.yml"), FakeClock())


def test_passwords_in_the_clear_are_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Followed(tmp_path)
    assert "send passwords in the clear" in caplog.text
