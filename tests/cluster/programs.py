"""Programs that run in the background while a test goes on, each with a log of its own."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

PATIENCE_S = 10.0
TAIL_LINES = 15


class ProgramEnded(Exception):
    """A program that should run does not; the text has the end of its log."""


class Program:
    """One program, which can be started and stopped again and again; its log goes on."""

    def __init__(self, argv: Sequence[str | Path], log: Path, variables: Mapping[str, str] | None = None) -> None:
        self.name = Path(argv[0]).name
        self._argv = [str(part) for part in argv]
        self._log = log
        self._variables = {**os.environ, **(variables or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                self._argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._variables,
                start_new_session=True,  # Ctrl-C is for the tests, which then end it
            )

    def stop(self) -> None:
        """Ask it to end, and kill it where it does not listen."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def must_run(self) -> None:
        """Raise ProgramEnded where it has ended by itself."""
        if self._process is not None and self._process.poll() is not None:
            raise ProgramEnded(f"{self.name} has ended with status {self._process.returncode}:\n{self.tail()}")

    def tail(self) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-TAIL_LINES:])
