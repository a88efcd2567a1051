"""Somebody who follows a page: its commands run by bash, in a folder that looks like a clone of this repository."""

import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.e2e.images import TREE
from tests.page_steps import Step, disagreement
from tests.waiting import NotYet, wait_for

AS_PRINTED = "as the page says"
_WITHIN_S = 120.0
_COMMAND_S = 330.0  # the page's own longest wait is 5m


class Reader:
    """Follows a page until the end of `with`, which ends what it has left in the background."""

    def __init__(self, folder: Path, programs: Mapping[str, Path], kubeconfig: Path) -> None:
        """Make the folder: the chart, and a virtual environment with the exporter, which is the one that runs now."""
        self._folder = folder
        self._background: list[subprocess.Popen[bytes]] = []
        path = folder / "bin"
        path.mkdir(parents=True)
        for name, program in programs.items():
            (path / name).symlink_to(program)
        (folder / "chart").symlink_to(TREE / "chart")
        (folder / ".venv").symlink_to(sys.prefix)
        self._environment = {
            **os.environ,
            "HOME": str(folder),
            "KUBECONFIG": str(kubeconfig),
            "PATH": f"{path}:{os.environ['PATH']}",
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._background:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, 15)
            process.wait()

    def follow(self, step: Step) -> str:
        """Run a command until it prints what the page says; without an answer on the page, until it succeeds.

        What changes the cluster by helm runs once.

        Raises:
            TimeoutError: It does not; says what was printed last.
        """
        if step.command.endswith("&"):
            command = ["bash", "-c", step.command.removesuffix("&")]
            quiet = subprocess.DEVNULL
            process = subprocess.Popen(
                command, cwd=self._folder, env=self._environment, stdout=quiet, stderr=quiet, start_new_session=True
            )
            self._background.append(process)
            return AS_PRINTED
        within_s = 0.0 if step.command.startswith("helm ") else _WITHIN_S
        return wait_for(step.command, lambda: self._look(step), within_s)

    def _look(self, step: Step) -> str:
        done = subprocess.run(
            ["bash", "-c", step.command],
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=_COMMAND_S,
            check=False,
        )
        printed = f"{done.stdout}{done.stderr}"
        if missing := disagreement(step.answer, printed):
            raise NotYet(f"no line {missing!r} in: {printed}")
        if done.returncode and not step.answer:
            raise NotYet(printed)
        return AS_PRINTED
