import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bare_metal.machine import PACKAGES
from tests.cluster.requirements import NotPossible, require

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the exporter; skip where no machine can be made."""
    try:
        require(PACKAGES)
    except NotPossible as reason:
        if os.environ.get("REQUIRE_ALL_TOOLS") == "1":
            pytest.fail(str(reason))
        pytest.skip(str(reason))
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "build", "--wheel", f"--outdir={folder}", ROOT], check=True)
    [made] = folder.glob("*.whl")
    return made
