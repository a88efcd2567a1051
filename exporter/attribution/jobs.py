"""HPC jobs: which job runs on which GPU, from a folder that a scheduler's prologue and epilogue write.

One file for a GPU or a MIG instance, a job id a line, as dcgm-exporter reads it.
"""

import logging
import os
import re
import stat
import time
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from exporter.model import Clock, Entity
from podresources.periodic import Periodic

log = logging.getLogger(__name__)

INTERVAL_S = 1.0

MOST_FILES = 4096
MOST_BYTES = 1 << 14
MOST_JOBS = 128
"""More jobs than this on one GPU are a mistake, and would be as many series."""

SETTLED_S = 2.0
"""A file that is younger may change once more within the same tick of its clock."""

_NAME = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))?")


def file_name(entity: Entity) -> str:
    """Return the name of the file with an entity's jobs: a GPU's index, or index.id of a MIG GPU instance."""
    index = str(entity.gpu.index)
    return index if entity.instance is None else f"{index}.{entity.instance.gpu_instance_id}"


def parse_jobs(content: bytes) -> tuple[str, ...]:
    """Return the job ids in a file, each once and in the file's order.

    Raises:
        ValueError: with the reason.
    """
    if len(content) > MOST_BYTES:
        raise ValueError(f"it is larger than {MOST_BYTES} bytes")
    try:
        lines = content.decode().split("\n")
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8 text") from None
    jobs = tuple(dict.fromkeys(filter(None, map(str.strip, lines))))
    if len(jobs) > MOST_JOBS:
        raise ValueError(f"it has more than {MOST_JOBS} jobs")
    return jobs


class _File(NamedTuple):
    """What a file held, and the marks by which a change is seen; no marks where it may change unseen."""

    jobs: tuple[str, ...]
    marks: tuple[int, ...] | None


class Jobs:
    """Follows the folder from `start` to `stop`, in a thread of its own, for a network's file system may hang."""

    def __init__(self, folder: Path, clock: Clock = time, interval_s: float = INTERVAL_S) -> None:
        self._folder = folder
        self._clock = clock
        self._latest: Mapping[str, tuple[str, ...]] = MappingProxyType({})
        self._files: dict[str, _File] = {}
        self._troubles: dict[str, str] = {}
        self._has_named_strangers = False
        self._periodic = Periodic(
            "hpc jobs", self.look, interval_s, "HPC jobs: a look failed; the jobs stay as they were"
        )

    def start(self) -> None:
        """Begin to follow the folder, without waiting for it."""
        self._periodic.start()

    def stop(self) -> None:
        """End within a second, also while the file system hangs."""
        self._periodic.stop()

    def latest(self) -> Mapping[str, tuple[str, ...]]:
        """Return the job ids by file name; a file without jobs is not in it."""
        return self._latest

    def look(self) -> None:
        """Read the files that have changed; what can't be used is left out, with one line in the log."""
        files: dict[str, _File] = {}
        troubles: dict[str, str] = {}
        for name in self._names(troubles):
            try:
                files[name] = self._file(name)
            except FileNotFoundError:
                continue  # gone since it was listed
            except OSError as error:
                troubles[name] = f"it can't be read: {error.strerror}"
            except ValueError as error:
                troubles[name] = str(error)
        for name in sorted(troubles.keys() - self._troubles.keys()):
            log.warning("HPC jobs: %s: %s", self._folder / name, troubles[name])
        self._files, self._troubles = files, troubles
        self._latest = MappingProxyType({name: file.jobs for name, file in files.items() if file.jobs})

    def _names(self, troubles: dict[str, str]) -> list[str]:
        """Return the names in the folder that mean a GPU or a MIG instance."""
        try:
            with os.scandir(self._folder) as entries:
                names = [entry.name for entry in islice(entries, MOST_FILES + 1)]
        except OSError as error:
            troubles[""] = f"the folder can't be read: {error.strerror}"
            return []
        if len(names) > MOST_FILES:
            troubles[""] = f"it has more than {MOST_FILES} files; only so many are looked at"
            names.pop()
        known = [name for name in names if _NAME.fullmatch(name)]
        if len(known) < len(names) and not self._has_named_strangers:
            self._has_named_strangers = True
            stranger = min(set(names).difference(known))
            log.warning(
                "HPC jobs: %s: %r and names like it are no GPU's (as 0) or MIG instance's (as 2.1) and left out",
                self._folder,
                stranger,
            )
        return known

    def _file(self, name: str) -> _File:
        path = self._folder / name
        now = self._clock.time()
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # reading a pipe or a device might never end
            raise ValueError("it is no regular file")
        marks = (status.st_dev, status.st_ino, status.st_size, status.st_ctime_ns)
        known = self._files.get(name)
        if known is not None and known.marks == marks:
            return known
        with path.open("rb") as file:
            jobs = parse_jobs(file.read(MOST_BYTES + 1))
        return _File(jobs, marks if status.st_ctime < now - SETTLED_S else None)
