"""Reading the files that users name: regular files of text, of bounded size, never a pipe that blocks.

Knows nothing of what the files mean. Every sentence begins with the file's name.
"""

import os
import stat
from pathlib import Path

from exporter.errors import ConfigError

MIB = 1 << 20


def read_text(path: str | Path, what: str, most_bytes: int = MIB) -> str:
    """Return a file's text; NUL is refused, as no text has it.

    Args:
        path: As the user wrote it.
        what: What errors call the file, such as "counters file".
        most_bytes: The largest file that is read.

    Raises:
        ConfigError: It can't be read, is not a regular file, is too large, or is not UTF-8 text.
    """
    return text_of(read_bytes(path, what, most_bytes), str(path))


def read_bytes(path: str | Path, what: str, most_bytes: int = MIB) -> bytes:
    """Return a file's content; arguments and errors are those of read_text."""
    try:
        is_regular = stat.S_ISREG(os.stat(path).st_mode)  # noqa: PTH116  (only opening some devices does something)
        content = _read(path, most_bytes + 1) if is_regular else None
    except OSError as error:
        raise ConfigError(f"{path}: can't read the {what}: {error.strerror or error}") from None
    except ValueError:  # Python versions say it in different words
        raise ConfigError(f"{path}: can't read the {what}: its name contains a NUL") from None
    if content is None:
        raise ConfigError(f"{path}: it is not a regular file; give the path of a {what}")
    if len(content) > most_bytes:
        raise ConfigError(f"{path}: a {what} may have at most {most_bytes // MIB} MiB")
    return content


def text_of(content: bytes, place: str) -> str:
    """Return the text that bytes are; `place` is what errors call them.

    Raises:
        ConfigError: They are not UTF-8, or have a NUL.
    """
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{place}:{line}: it is not UTF-8 text; save the file as UTF-8") from None
    nul = text.find("\0")
    if nul >= 0:
        line = text.count("\n", 0, nul) + 1
        raise ConfigError(f"{place}:{line}: it contains a NUL character; save the file as UTF-8 text")
    return text


def _read(path: str | Path, most_bytes: int) -> bytes | None:
    """Return what a regular file begins with; None for anything else, such as a pipe that has replaced it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:  # noqa: PTH123  (a descriptor)
        return file.read(most_bytes) if stat.S_ISREG(os.fstat(descriptor).st_mode) else None
