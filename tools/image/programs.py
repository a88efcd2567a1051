"""The programs that do the work, and the one error of this package."""

import os
import shutil
import subprocess
from collections.abc import Mapping

NEEDED = ("buildah", "mmdebstrap")
TAIL_LINES = 20


class NotBuilt(Exception):
    """There is no image; the text says why."""


def must_be_there() -> None:
    """Raise NotBuilt where this machine can't build the image."""
    if os.geteuid() != 0:
        raise NotBuilt("building the image needs root: the files in it belong to root")
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if missing:
        raise NotBuilt(f"no {' and no '.join(missing)} on the PATH: `apt-get install {' '.join(missing)}`")


def run(*command: str, text: str = "", settings: Mapping[str, str] | None = None) -> str:
    """Run a program with a text as its input and more variables; returns all that it has said.

    Raises:
        NotBuilt: It failed; has the end of what it said.
    """
    done = subprocess.run(  # noqa: S603 - this package names the programs
        command,
        input=text,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **(settings or {})},
        check=False,
    )
    if done.returncode:
        tail = "\n".join(done.stdout.splitlines()[-TAIL_LINES:])
        raise NotBuilt(f"{command[0]} failed with exit status {done.returncode}:\n{tail}")
    return done.stdout
