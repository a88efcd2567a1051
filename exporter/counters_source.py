"""Where a counters file's text comes from, and whether it has changed: a file, a ConfigMap, fixed text.

It does not know what the text means; that is counters' business.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

from exporter.errors import ConfigError
from exporter.user_file import read_bytes, text_of

INSTALLED = Path("/etc/dcgm-exporter")
"""Where images and dcgm-exporter's packages keep the counters files."""

PACKAGED = Path(__file__).parent / "counter_files"
"""Where this program's own files are."""


class CountersSource(Protocol):
    """Something that has a counters file's text. `name` is what users call it."""

    @property
    def name(self) -> str:
        """Return what to call the source in warnings and errors."""

    def read(self) -> str:
        """Return the text as it is now; raises an ExporterError of one sentence where it can't be read."""

    def changed(self) -> bool:
        """Tell whether another read would give something else than the last one; cheap, asked each second."""


class CountersFile:
    """A file on disk, which may be replaced or rewritten at any time.

    It compares contents, not times: an editor's rename, a mounted ConfigMap's swapped symbolic link and a
    rewrite within the clock's granularity are all seen, and a touched file is not. Costs 40 us for 8 KiB.
    """

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path
        self._seen: bytes | str = b""

    def read(self) -> str:
        """Return the file's text.

        Raises:
            ConfigError: It is missing, unreadable, no regular file, not UTF-8 text, or larger than a ConfigMap may be.
        """
        self._seen = self._look()
        if isinstance(self._seen, str):
            raise ConfigError(self._seen)
        return text_of(self._seen, self.name)

    def changed(self) -> bool:
        """Tell whether content or error is another one than at the last read, be it that one failed."""
        return self._look() != self._seen

    def _look(self) -> bytes | str:
        """Return the content, or one sentence that says why there is none."""
        try:
            return read_bytes(self._path, "counters file")
        except ConfigError as error:
            return str(error)


class CountersConfigMap:
    """The text in a ConfigMap, read through the API server when it is asked for, never watched."""

    def __init__(self, namespace: str, name: str, read_config_map: Callable[[str, str], str]) -> None:
        self.name = f"ConfigMap {namespace}:{name}"
        self._object = (namespace, name)
        self._read_config_map = read_config_map

    def read(self) -> str:
        """Return what `read_config_map` gives for the namespace and the name."""
        return self._read_config_map(*self._object)

    def changed(self) -> bool:
        """Return False: who changes the ConfigMap asks for a reload."""
        return False


class CountersText:
    """Text from another file that was read before; it never changes."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self._text = text

    def read(self) -> str:
        """Return the text."""
        return self._text

    def changed(self) -> bool:
        """Return False."""
        return False


class Found(NamedTuple):
    """A counters file, and a sentence about it where it is not the one that was asked for."""

    file: CountersFile
    warning: str | None


def find_counters_file(path: Path, *, is_given: bool, installed: Path = INSTALLED, packaged: Path = PACKAGED) -> Found:
    """Find the file for a path, which need not exist where this program has a file of that name.

    A bare machine has nothing in `installed`, and DaemonSets and habits name files there. It is decided once,
    so that a file that is being replaced at a reload is an error and not a reason to fall back.

    Args:
        path: What the user named, or the default.
        is_given: Whether the user named it; taking the packaged file for the default deserves no warning.
        installed: The folder whose missing files are looked for in `packaged`.
        packaged: The folder of the files that come with this program.
    """
    spare = packaged / path.name
    if path.parent != installed or not _is_missing(path) or _is_missing(spare):
        return Found(CountersFile(path), None)
    warning = f"{path} does not exist; the exporter's packaged file of the same name is used"
    return Found(CountersFile(spare), warning if is_given else None)


def _is_missing(path: Path) -> bool:
    try:
        path.lstat()
    except FileNotFoundError:
        return True
    except OSError:
        return False  # reading it will say why
    return False
