"""HPC jobs: which job runs on which GPU, from a folder that a scheduler's prologue and epilogue write.

One file for a GPU or a MIG instance, a job id a line, as dcgm-exporter reads it. Others may write into the folder, and
everybody can read the page: nothing outside the folder is read.
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

MOST_NAMED = 10
"""How many files that can't be used one look names in the log."""

SETTLED_S = 2.0
"""A file that is younger may change once more within the same tick of its clock."""

STALE_AFTER_S = 60.0
"""How long the last known jobs stay valid if the directory can't be read."""

_NAME = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))?|(GPU|MIG)-[0-9a-fA-F-]+")
_NO_JOBS: Mapping[str, tuple[str, ...]] = MappingProxyType({})
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class JobNews(NamedTuple):
    """When the folder was last read (Unix time), None if never; how many files in it can't be used."""

    read_at: float | None
    left_out: int


def file_names(entity: Entity) -> tuple[str, ...]:
    """Return the names that the file with an entity's jobs may have.

    A GPU's index or UUID, or index.id of a MIG GPU instance or a UUID of its MIG devices. Slurm's prolog has numbers in
    SLURM_JOB_GPUS, and since 25.11 UUIDs in CUDA_VISIBLE_DEVICES. The numbers count Slurm's own list of GPUs, which is
    in NVML's order where Slurm detects them by itself.
    """
    index = str(entity.gpu.index)
    if entity.instance is None:
        return index, entity.gpu.uuid
    return f"{index}.{entity.instance.gpu_instance_id}", *entity.instance.uuids


def jobs_of(entity: Entity, jobs: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Return an entity's jobs, each once, given the jobs by file name."""
    return tuple(dict.fromkeys(job for name in file_names(entity) for job in jobs.get(name, ())))


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
        self._latest: Mapping[str, tuple[str, ...]] = _NO_JOBS
        self._looked: float | None = None
        self._read_at: float | None = None
        self._files: dict[str, _File] = {}
        self._troubles: dict[str, str] = {}
        self._has_named_strangers = False
        self._periodic = Periodic(
            "hpc jobs", self.look, interval_s, "HPC jobs: reading them failed; the last known jobs stay in force"
        )

    def start(self) -> None:
        """Begin to follow the folder, without waiting for it."""
        self._periodic.start()

    def stop(self) -> None:
        """End within a second, also while the file system hangs."""
        self._periodic.stop()

    def latest(self) -> Mapping[str, tuple[str, ...]]:
        """Return the job ids by file name; a file without jobs is not in it. None are known while a look hangs."""
        looked = self._looked
        is_stale = looked is None or self._clock.monotonic() - looked >= STALE_AFTER_S
        return _NO_JOBS if is_stale else self._latest

    def news(self) -> JobNews:
        """Return what telemetry says of the folder."""
        return JobNews(self._read_at, len(self._troubles))

    def look(self) -> None:
        """Read the files that have changed; what can't be used is left out, with one line in the log."""
        files: dict[str, _File] = {}
        troubles: dict[str, str] = {}
        names = self._names(troubles)
        for name in names or ():
            try:
                files[name] = self._file(name)
            except FileNotFoundError:
                continue  # gone since it was listed
            except OSError as error:
                troubles[name] = f"can't read it: {error.strerror}"
            except ValueError as error:
                troubles[name] = str(error)
        self._say(sorted(troubles.items() - self._troubles.items()))
        self._files, self._troubles = files, troubles
        self._latest = MappingProxyType({name: file.jobs for name, file in files.items() if file.jobs})
        self._looked = self._clock.monotonic()
        if names is not None:
            self._read_at = self._clock.time()

    def _say(self, new: list[tuple[str, str]]) -> None:
        for name, trouble in new[:MOST_NAMED]:
            log.warning("HPC jobs: %s: %s", self._folder / name, trouble)
        if len(new) > MOST_NAMED:
            log.warning("HPC jobs: %s: %d more files can't be used", self._folder, len(new) - MOST_NAMED)

    def _names(self, troubles: dict[str, str]) -> list[str] | None:
        """Return the names in the folder that mean a GPU or a MIG instance; None if it can't be read."""
        try:
            with os.scandir(self._folder) as entries:
                names = [entry.name for entry in islice(entries, MOST_FILES + 1)]
        except OSError as error:
            troubles[""] = f"can't read the directory: {error.strerror}"
            return None
        if len(names) > MOST_FILES:
            troubles[""] = f"it has more than {MOST_FILES} files; the rest is ignored"
            names.pop()
        known = [name for name in names if _NAME.fullmatch(name)]
        if len(known) < len(names) and not self._has_named_strangers:
            self._has_named_strangers = True
            stranger = min(set(names).difference(known))
            log.warning(
                "HPC jobs: %s: %r and similar names are ignored; name files after a GPU (0, or its UUID) or a MIG"
                " instance (2.1, or its UUID)",
                self._folder,
                stranger,
            )
        return known

    def _file(self, name: str) -> _File:
        path = self._folder / name
        now = self._clock.time()
        status = path.lstat()
        _must_be_regular(status)
        known = self._files.get(name)
        if known is not None and known.marks == _marks(status):
            return known
        with os.fdopen(os.open(path, _FLAGS), "rb") as file:  # it may be another one by now, so see that, too
            status = os.fstat(file.fileno())
            _must_be_regular(status)
            jobs = parse_jobs(file.read(MOST_BYTES + 1))
        return _File(jobs, _marks(status) if status.st_ctime < now - SETTLED_S else None)


def _must_be_regular(status: os.stat_result) -> None:
    """Refuse links, which lead out of the folder, and pipes and devices, of which reading might never end."""
    if not stat.S_ISREG(status.st_mode):
        is_link = stat.S_ISLNK(status.st_mode)
        raise ValueError("it is a link, and links are not followed" if is_link else "it is not a regular file")


def _marks(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_ctime_ns
