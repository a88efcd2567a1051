"""Make a release of the tree: all that is published, into one folder, with checksums.

    python -m tools.release dist

Wheel and source, an image for each architecture with its bill of materials, the chart, dashboards and rules, the man
page and completions, and the files for machines without Kubernetes. Needs what `make image` needs. docs/releases.md
says how to publish it.
"""

import argparse
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from exporter import __version__
from exporter.cli.completions import SHELLS
from exporter.cli.man_page import man_page
from tests.chart.helm import Helm
from tests.tools.build import BuildFailed, GoMissing, build
from tools.image.build import ARCHITECTURES, SOURCE, build_image
from tools.image.programs import NotBuilt, run
from tools.release.bill import bill_of_materials
from tools.release.chart_files import package_chart, write_files

NAME = "gpu-metrics-exporter"
CHECKSUMS = "SHA256SUMS"


def main() -> int:
    """Make the release; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.release", description="Make a release of the tree.")
    parser.add_argument("folder", type=Path, help="where to; emptied first")
    folder = parser.parse_args().folder
    try:
        must_be_committed()
        make_release(folder)
    except (BuildFailed, GoMissing, NotBuilt) as reason:
        sys.stderr.write(f"tools/release: {reason}\n")
        return 1
    sys.stdout.write(f"{folder}: {NAME} {__version__}, with checksums in {CHECKSUMS}\n")
    if tag_of_commit() != f"v{__version__}":
        sys.stdout.write(f"This commit has no tag v{__version__} yet: `git tag v{__version__}`\n")
    return 0


def must_be_committed() -> None:
    """Raise NotBuilt where the tree has what no commit has."""
    if changed := run("git", "-C", str(SOURCE), "status", "--porcelain"):
        raise NotBuilt(f"a release is made of a commit, and these files are in none:\n{changed.rstrip()}")


def tag_of_commit() -> str:
    """Return the tag of the commit that is checked out; "" for none."""
    command = ["git", "-C", str(SOURCE), "describe", "--tags", "--exact-match"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603


def make_release(folder: Path) -> None:
    """Fill the folder.

    Raises:
        BuildFailed, GoMissing: There is no helm.
        NotBuilt: Another step has failed.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    run(sys.executable, "-m", "build", f"--outdir={folder}", str(SOURCE))
    for architecture in ARCHITECTURES:
        image = folder / f"{NAME}-{__version__}-{architecture}.tar"
        build_image(image, f"localhost/{NAME}:{__version__}-{architecture}", architecture)
        image.with_suffix(".cdx.json").write_text(bill_of_materials(image))
    write_command_line(new(folder / "command-line"))
    shutil.copytree(SOURCE / "packaging", folder / "packaging")
    helm = Helm(build("helm")["helm"])
    package_chart(helm, folder)
    write_files(helm, folder)
    (folder / CHECKSUMS).write_text("".join(checksums(folder)))


def write_command_line(folder: Path) -> None:
    """Write the man page and the completions, each under the name by which it is found once it is installed."""
    (folder / f"{NAME}.8").write_text(man_page() + "\n")
    for shell, name in {"bash": NAME, "zsh": f"_{NAME}", "fish": f"{NAME}.fish"}.items():
        (folder / name).write_text(SHELLS[shell]() + "\n")


def new(folder: Path) -> Path:
    """Make a folder."""
    folder.mkdir()
    return folder


def checksums(folder: Path) -> Iterator[str]:
    """Yield a line for each file, as `sha256sum --check` reads it."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            yield f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {path.relative_to(folder)}\n"


if __name__ == "__main__":
    sys.exit(main())
