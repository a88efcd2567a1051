import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.unit.fake_api_server import FakeApiServer


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeApiServer]:
    """Run a tiny API server, which is reached directly on a machine that has a proxy."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")
    server = FakeApiServer(tmp_path / "kubeconfig")
    server.up()
    yield server
    server.down()


@pytest.fixture
def no_threads() -> Iterator[Callable[[], None]]:
    """Return a function after which no thread can be started, as if a limit of processes were reached."""
    usual = threading.stack_size()

    def forbid() -> None:
        threading.stack_size(1 << 46)

    yield forbid
    threading.stack_size(usual)
