"""The program as its users start it: a process with arguments and variables, its log, and its pages."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from subprocess import PIPE
from typing import NamedTuple

from tests.waiting import PATIENCE_S, until

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-m", "exporter")
END_S = 2.0
"""How long the program may take to end."""


class Program:
    """The program, started."""

    def __init__(self, folder: Path, arguments: tuple[str, ...], variables: dict[str, str]) -> None:
        self._log = folder / "log"
        environment = {"PATH": os.environ["PATH"], "HOME": str(folder), **variables}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                (*COMMAND, *arguments), cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=log
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def is_running(self) -> bool:
        return self._process.poll() is None

    def log(self) -> str:
        return self._log.read_text()

    def ends(self, within_s: float = PATIENCE_S) -> int:
        return self._process.wait(within_s)

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something is so, as long as the program runs."""

        def is_so() -> bool:
            assert self._process.poll() is None, self.log()
            return condition()

        until(is_so, self.log)

    def get(self, path: str) -> tuple[int, str]:
        self.until(lambda: "serving http" in self.log())
        address = re.findall(r"serving (http://\S+)/metrics", self.log())[0]
        try:
            with urllib.request.urlopen(address + path, timeout=PATIENCE_S) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def names(self) -> set[str]:
        """Return the names of the series of DCGM's that are served."""
        return set(re.findall(r"^(DCGM_\w+)\{", self.get("/metrics")[1], re.MULTILINE))

    def value(self, name: str) -> float:
        return float(re.findall(rf"^{name} (\S+)$", self.get("/metrics")[1], re.MULTILINE)[0])

    def must_end(self, number: signal.Signals = signal.SIGTERM) -> None:
        self.send(number)
        assert self.ends(END_S) == 0, self.log()
        assert "Traceback" not in self.log()


Start = Callable[..., Program]
"""The fixture start."""


class Ended(NamedTuple):
    """What a command line came to."""

    code: int
    stdout: str
    stderr: str

    @property
    def said(self) -> str:
        return self.stdout + self.stderr


MANY = """
import contextlib, io, json, os, sys
for name in sys.argv[1:]:
    sys.modules[name] = None
from exporter.cli.main import main
answers, usual = [], dict(os.environ)
for arguments, variables in json.load(sys.stdin):
    sys.argv[1:] = arguments
    os.environ.clear()
    os.environ.update({**usual, **variables})
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = main()
    answers.append((code, out.getvalue(), err.getvalue()))
print(json.dumps(answers))
"""


def ended(
    *command_lines: tuple[str, ...], variables: Sequence[Mapping[str, str]] = (), missing: tuple[str, ...] = ()
) -> list[Ended]:
    """Run command lines that end by themselves, one after the other in one process: a start costs more than they do.

    `variables` are those of each line; `missing` are packages that are not installed.
    """
    asked = list(zip(command_lines, variables or [{}] * len(command_lines), strict=True))
    command = (sys.executable, "-c", MANY, *missing)
    environment = {"PATH": os.environ["PATH"]}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdin=PIPE, stdout=PIPE, stderr=PIPE, text=True)
    with process:
        out, err = process.communicate(json.dumps(asked), PATIENCE_S)
    assert process.returncode == 0, err
    return [Ended(*answer) for answer in json.loads(out)]
