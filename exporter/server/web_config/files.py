"""The files that a configuration is read from, remembered, so that it can be told when to read it again."""

from pathlib import Path

from exporter.errors import ConfigError
from exporter.user_file import read_bytes


class FilesRead:
    """Reads files and knows what they were; one object a reading of the configuration.

    It compares contents, not times: a rename, a rewrite and the swapped symbolic links of a mounted Secret are all
    seen, also of files that could not be read.
    """

    def __init__(self) -> None:
        self._seen: dict[Path, tuple[str, bytes | str]] = {}

    def read(self, path: Path, what: str) -> bytes:
        """Return a file's content.

        Args:
            path: Where it is.
            what: What errors call it.

        Raises:
            ConfigError: It can't be read, is not a regular file, or is too large.
        """
        found = _look(path, what)
        self._seen[path] = what, found
        if isinstance(found, str):
            raise ConfigError(found)
        return found

    def have_changed(self) -> bool:
        """Tell whether a file is another one than when it was read, or fails in another way; 40 us a file."""
        return any(_look(path, what) != found for path, (what, found) in self._seen.items())


def _look(path: Path, what: str) -> bytes | str:
    """Return the content, or one sentence that says why there is none."""
    try:
        return read_bytes(path, what)
    except ConfigError as error:
        return str(error)
