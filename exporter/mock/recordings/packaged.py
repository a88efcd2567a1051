"""The recordings that come with this package, by name."""

from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable

from exporter.errors import ConfigError
from exporter.mock.recordings.recording import Recording
from exporter.mock.recordings.recording_file import parse_recording


def recording_names() -> tuple[str, ...]:
    """Return the names of the recordings that this package has, sorted."""
    return tuple(sorted(entry.name.partition(".")[0] for entry in _entries()))


def packaged_recording(name: str) -> Recording:
    """Return a recording of this package.

    Raises:
        ConfigError: There is none of this name; the sentence lists those that there are.
        RecordingError: It is damaged.
    """
    for entry in _entries():
        if entry.name.partition(".")[0] == name:
            return parse_recording(entry.read_bytes(), entry.name)
    raise ConfigError(f"recording {name!r} is not known; the recordings are {', '.join(recording_names())}")


def _entries() -> Iterator[Traversable]:
    return (entry for entry in files("exporter.mock.recordings").iterdir() if ".jsonl" in entry.name)
