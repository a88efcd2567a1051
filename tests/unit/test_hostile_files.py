"""Every file that a user can name, as what no such file should be."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.cli.config_file import read_config
from exporter.counters import parse_counters
from exporter.counters_source import CountersFile
from exporter.errors import ConfigError
from exporter.mock import load_scenario
from exporter.mock.recordings.recording_file import read_recording

Read = Callable[[Path], object]
Make = Callable[[Path], None]


def read_counters(path: Path) -> object:
    return parse_counters(CountersFile(path).read(), str(path), frozenset())


def read_scenario(path: Path) -> object:
    return load_scenario(str(path))


def read_replay(path: Path) -> object:
    """Read a recording as a scenario names it."""
    scenario = path.with_name("lab.yaml")
    scenario.write_text(f"gpus: [{{profile: t4, load: {{kind: replay, recording: {path}}}}}]")
    return load_scenario(str(scenario))


READERS: dict[str, Read] = {
    "configuration": lambda path: read_config(str(path)),
    "counters": read_counters,
    "scenario": read_scenario,
    "recording": read_recording,
    "replay": read_replay,
}

BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
CONTENTS = {
    "NUL": b"version: 1\0\n",
    "another encoding": "gpus: [{profile: t4}]\n".encode("utf-16"),
    "deep lists": b"[" * 1_000_000,
    "deep mappings": b'{"a":' * 200_000,
    "deep blocks": b"- " * 500_000,
    "alias bomb": f"{BOMB}version: *i\ngpus: *i".encode(),
    "alias bomb as a value": f"{BOMB}version: 1\nmetrics: {{file: *i}}".encode(),
    "a number in base 60": b"version: 1" + b":59" * 300_000,
    "a line without an end": b"x" * 1_000_000,
}


def writing(content: bytes) -> Make:
    def write(path: Path) -> None:
        path.write_bytes(content)

    return write


def five_gib(path: Path) -> None:
    path.touch()
    os.truncate(path, 5 << 30)


HOSTILE: dict[str, Make] = {
    **{name: writing(content) for name, content in CONTENTS.items()},
    "pipe": os.mkfifo,
    "folder": Path.mkdir,
    "5 GiB": five_gib,
}


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("read", READERS.values(), ids=READERS.keys())
def test_a_hostile_file_is_one_sentence_that_names_it(read: Read, make: Make, tmp_path: Path) -> None:
    path = tmp_path / "given.yaml"
    make(path)
    with pytest.raises(ConfigError) as caught:
        read(path)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert str(path) in sentence
    assert len(sentence) < 1000
