"""The flags of the exporter that a container runs: what `kubectl exec` starts there has its variables alone."""

from pathlib import Path

NAMES = frozenset({"gpu-metrics-exporter", "dcgm-exporter"})
_SERVE = "serve"


def flags_of_process_one(command_line: Path = Path("/proc/1/cmdline")) -> tuple[str, ...]:
    """Return the flags that process 1 was given, if it is an exporter that serves; else none."""
    try:
        words = command_line.read_bytes().decode("utf-8", "surrogateescape").rstrip("\0").split("\0")
    except OSError:
        return ()
    flags = _behind_name(words)
    if flags[:1] == [_SERVE]:
        return tuple(flags[1:])
    return tuple(flags) if flags and flags[0].startswith("-") else ()


def _behind_name(words: list[str]) -> list[str]:
    """Return the arguments after the program's name: its own, an interpreter's script, or `-m exporter`."""
    for place, word in enumerate(words[:3]):
        if Path(word).name in NAMES or (word == "exporter" and words[place - 1] == "-m"):
            return words[place + 1 :]
    return []
