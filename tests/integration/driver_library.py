"""Driver libraries of our own, built from C: one with three GPUs, and others in front of it that lie."""

import subprocess
from pathlib import Path

from tests.golden.soundness import tool

CASES = Path(__file__).parents[1] / "cases" / "driver"
NAME = "libnvidia-ml.so.1"
BEHIND = "libnvidia-behind.so.1"


def build(folder: Path, *defines: str, in_front: str = "") -> None:
    """Build libnvidia-ml.so.1 in a folder; skip the test where there is no compiler.

    Args:
        folder: Is created.
        defines: Macros that say what nvml.c leaves out or answers.
        in_front: A file whose functions stand before those of nvml.c.
    """
    folder.mkdir()
    last = ("-Wl,--no-as-needed", f"-L{folder}", f"-l:{BEHIND}", "-Wl,-rpath,$ORIGIN", "-ldl")
    _compile(folder / (BEHIND if in_front else NAME), "nvml.c", *(f"-D{define}" for define in defines))
    if in_front:
        _compile(folder / NAME, in_front, *last)


def _compile(target: Path, source: str, *options: str) -> None:
    command = (tool("gcc", "gcc"), "-w", "-shared", "-fPIC", "-o", str(target), str(CASES / source), *options)
    subprocess.run(command, check=True, timeout=60)
