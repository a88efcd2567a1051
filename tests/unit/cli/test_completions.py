"""Completions: that of bash as bash runs it, those of zsh and fish as far as this machine has the shells."""

import shutil
import subprocess

import pytest

from exporter.cli.command_flags import COMMAND_FLAGS
from exporter.cli.commands import COMMANDS
from exporter.cli.completions import SHELLS
from exporter.cli.flag_table import FLAGS, Status

WORKING = {f"--{flag.name}" for flag in FLAGS if flag.status is Status.WORKS}
OF_COMMANDS = {f"--{flag.name}" for flags in COMMAND_FLAGS.values() for flag in flags}
ASK_BASH = """
compopt() { echo "compopt $*"; }
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_gpu_metrics_exporter
printf '%s\\n' "${COMPREPLY[@]}"
"""


def offered(*words: str) -> set[str]:
    """Return what bash offers behind these words, of which the last is being typed."""
    script = SHELLS["bash"]() + ASK_BASH
    done = subprocess.run(["bash", "-c", script, "bash", *words], capture_output=True, text=True, check=True)
    assert not done.stderr
    return set(done.stdout.split("\n")) - {""}


def test_bash_offers_the_commands_first_and_every_flag_anywhere() -> None:
    assert offered("gpu-metrics-exporter", "") == {command.name for command in COMMANDS}
    assert offered("gpu-metrics-exporter", "ch") == {"check"}
    assert offered("gpu-metrics-exporter", "check", "") == set()
    assert offered("dcgm-exporter", "-k", "--") == WORKING | OF_COMMANDS
    assert offered("dcgm-exporter", "--collec") == {"--collectors", "--collect-interval"}


def test_bash_offers_files_behind_a_flag_that_takes_a_path_and_nothing_behind_another_value() -> None:
    assert offered("gpu-metrics-exporter", "-f", "de") == {"compopt -o default"}
    assert offered("gpu-metrics-exporter", "--collect-interval", "-") == set()


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_name_every_flag(shell: str) -> None:
    script = SHELLS[shell]()
    prefix = {"zsh": "'--", "fish": "--long-option "}[shell]
    assert all(f"{prefix}{name.removeprefix('--')}" in script for name in WORKING | OF_COMMANDS)
    if program := shutil.which(shell):
        subprocess.run([program, "-n"], input=script, text=True, check=True)
