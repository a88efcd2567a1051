"""Loads on real GPUs: code that needs CuPy or PyTorch, run by the machine's own Python, not by the exporter's."""

import json
import os
import subprocess
from typing import Any

PYTHON = os.environ.get("TORCH_PYTHON", "python3")


def environment() -> dict[str, str]:
    """Return the environment of a load, whose GPUs have NVML's order.

    It has no PYTHONPATH: the exporter's packages must not come before those of the loads.
    """
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return {**kept, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}


class Load:
    """A process that is told what to do line by line, and answers each line with one of JSON when it is done."""

    def __init__(self, code: str) -> None:
        """Start it; the code prints a line once it is ready."""
        self._process = subprocess.Popen(
            [PYTHON, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(), text=True
        )
        assert self._line() == "ready", "CuPy does not run here"

    def begin(self, *words: object) -> None:
        """Let it do something."""
        assert self._process.stdin
        self._process.stdin.write(f"{' '.join(map(str, words))}\n")
        self._process.stdin.flush()

    def result(self) -> Any:
        """Return what it has to say of that; waits for the end."""
        return json.loads(self._line())

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()

    def _line(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline().strip()
