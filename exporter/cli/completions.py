"""Completions of the command line for bash, zsh and fish, written from the tables of commands and flags.

`python -m exporter.cli.completions bash` prints one; a release has all three.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from exporter.cli import value_types as types
from exporter.cli.command_flags import COMMAND_FLAGS
from exporter.cli.commands import COMMANDS, print_text
from exporter.cli.flag_table import FLAGS, Flag, Status
from exporter.cli.go_flags import Arity

PROGRAMS = ("gpu-metrics-exporter", "dcgm-exporter")

_OF_COMMANDS = {flag.name: flag for flags in COMMAND_FLAGS.values() for flag in flags}
_WORKING = (*(flag for flag in FLAGS if flag.status is Status.WORKS), *_OF_COMMANDS.values())
_PATHS = (types.PATH, types.OPTIONAL_PATH, types.MOCK)
_PLAIN = str.maketrans("[]:", "();", "'\"\\`$")
_BASH = """\
_gpu_metrics_exporter() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD - 1]}}
    COMPREPLY=()
    case $before in
        {paths}) compopt -o default; return ;;
        {values}) return ;;
    esac
    if [[ $word == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "{flags}" -- "$word")
    elif [[ $COMP_CWORD == 1 ]]; then
        mapfile -t COMPREPLY < <(compgen -W "{commands}" -- "$word")
    fi
}}
complete -F _gpu_metrics_exporter {programs}"""


def bash() -> str:
    """Write the completion for bash."""
    valued = [flag for flag in _WORKING if flag.type.arity is Arity.VALUE]
    return _BASH.format(
        paths="|".join(name for flag in valued if flag.type in _PATHS for name in _spellings(flag)),
        values="|".join(name for flag in valued if flag.type not in _PATHS for name in _spellings(flag)),
        flags=" ".join(f"--{flag.name}" for flag in _WORKING),
        commands=" ".join(command.name for command in COMMANDS),
        programs=" ".join(PROGRAMS),
    )


def zsh() -> str:
    """Write the completion for zsh."""
    commands = " ".join(f'{command.name}\\:"{_summary(command.help)}"' for command in COMMANDS)
    specs = [f"1::command:(({commands}))", *(spec for flag in _WORKING for spec in _zsh_specs(flag))]
    body = " \\\n".join(f"    '{spec}'" for spec in specs)
    return f"#compdef {' '.join(PROGRAMS)}\n_arguments \\\n{body}"


def fish() -> str:
    """Write the completion for fish."""
    return "\n".join(line for program in PROGRAMS for line in _fish_lines(f"complete -c {program}"))


def _zsh_specs(flag: Flag) -> Iterator[str]:
    files = "_files" if flag.type in _PATHS else " "
    equals, value = {
        Arity.SWITCH: ("", ""),
        Arity.OPTIONAL: ("=-", f"::value:{files}"),
        Arity.VALUE: ("=", f":value:{files}"),
    }[flag.type.arity]
    for name in _spellings(flag):
        yield f"{name}{equals if name.startswith('--') else ''}[{_summary(flag.help)}]{value}"


def _fish_lines(start: str) -> Iterator[str]:
    yield f"{start} --no-files"
    for command in COMMANDS:
        named = f"--arguments {command.name} --description '{_summary(command.help)}'"
        yield f"{start} --condition __fish_use_subcommand {named}"
    for flag in _WORKING:
        short = f" --short-option {flag.shorthand}" if flag.shorthand else ""
        value = {Arity.VALUE: " --require-parameter"}.get(flag.type.arity, "")
        files = " --force-files" if flag.type in _PATHS else ""
        yield f"{start} --long-option {flag.name}{short}{value}{files} --description '{_summary(flag.help)}'"


def _spellings(flag: Flag) -> tuple[str, ...]:
    return (f"-{flag.shorthand}", f"--{flag.name}") if flag.shorthand else (f"--{flag.name}",)


def _summary(text: str) -> str:
    """Return the first sentence, without what shells read as their own."""
    return text.partition(". ")[0].rstrip(".").translate(_PLAIN)


SHELLS: Mapping[str, Callable[[], str]] = MappingProxyType({"bash": bash, "zsh": zsh, "fish": fish})

if __name__ == "__main__":
    sys.exit(print_text(SHELLS[sys.argv[1]]()))
