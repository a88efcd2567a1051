from pathlib import Path

import pytest

from tests.unit.server.web_config.writing import Files


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Return files that no test spoils for another."""
    return Files(Path(tmp_path_factory.mktemp("web-config")))
