"""What docs/bare-metal.md says to do, and a machine on which its first step is done."""

import shutil
from pathlib import Path

from tests.bare_metal.machine import new_root, run_before_boot
from tests.pages import blocks, page, section

ROOT = Path(__file__).parents[2]
PAGE = page("bare-metal")


def commands(heading: str, language: str = "sh") -> list[str]:
    """Return the blocks of a language under a heading of the page."""
    return blocks(section(PAGE, heading), language)


def installed_root(suite: str, folder: Path, wheel: Path) -> Path:
    """Return the root file system of a machine on which the exporter is installed as the page says."""
    root = new_root(suite, folder)
    shutil.copy(wheel, root / "root")
    shutil.copytree(ROOT / "packaging", root / "root" / "packaging")
    [install] = commands("Install")
    assert "\ngpu-metrics-exporter 0" in run_before_boot(root, install)
    return root
