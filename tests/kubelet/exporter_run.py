"""The exporter as a process beside a real kubelet, scraped ten times a second."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from podresources.allocations import Allocation, Allocations
from tests.cluster.rounds import Rounds
from tests.golden.series import read_series
from tests.waiting import NotYet, until

Owners = Mapping[str, frozenset[str]]
"""namespace/pod/container of each owner, by the GPU's UUID, for a MIG instance with its number; others have none."""


@dataclass(frozen=True, slots=True)
class Scrape:
    """What one scrape showed, or why it failed. Times are of the monotonic clock."""

    began: float
    ended: float
    owners: Owners
    error: str = ""


def owners_by(allocations: Allocations) -> Owners:
    """Return what kubelet's list says, in the form of what a scrape shows."""
    found: dict[str, set[str]] = {}
    for one in allocations:
        assert isinstance(one, Allocation)
        found.setdefault(one.device_id.partition("::")[0], set()).add(f"{one.namespace}/{one.pod}/{one.container}")
    return {uuid: frozenset(owners) for uuid, owners in found.items()}


class ExporterRun:
    """Runs and scrapes the exporter while `with` lasts."""

    def __init__(
        self, kubelet_socket: Path, *arguments: str, mock: str = "h100-sxm", variables: Mapping[str, str] | None = None
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._address = f"127.0.0.1:{free.getsockname()[1]}"
        self._command = [sys.executable, "-m", "exporter", "-a", self._address, f"--mock={mock}", "-k"]
        self._command += ["--pod-resources-kubelet-socket", str(kubelet_socket), *arguments]
        self._variables = {**os.environ, **(variables or {})}
        self._scrapes: list[Scrape] = []
        self._rounds = Rounds("scraper", 0.1, self._scrape)

    @property
    def scrapes(self) -> tuple[Scrape, ...]:
        """All scrapes since the exporter was ready, oldest first."""
        return tuple(self._scrapes)

    def must_have_scraped(self, count: int) -> None:
        """Raise NotYet until there are so many scrapes."""
        if len(self._scrapes) < count:
            raise NotYet(f"{len(self._scrapes)} scrapes of {count}")

    def must_show(self, owners: Owners) -> None:
        """Raise NotYet unless the newest scrape shows exactly these owners."""
        shown = self._scrapes[-1].owners if self._scrapes else {}
        if shown != owners:
            raise NotYet(f"shown {dict(shown)}, not {dict(owners)}")

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, env=self._variables, stderr=subprocess.DEVNULL)
        until(lambda: self._fetch("/ready") is not None, what="the exporter's readiness")
        self._rounds.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._rounds.__exit__(kind, error, trace)
        finally:
            self._process.terminate()
            self._process.wait(5)

    def _scrape(self) -> None:
        began = time.monotonic()
        page = self._fetch("/metrics")
        ended = time.monotonic()
        error = "" if page is not None else "no page"
        self._scrapes.append(Scrape(began, ended, owners_on(page or ""), error))

    def _fetch(self, path: str) -> str | None:
        try:
            with urllib.request.urlopen(f"http://{self._address}{path}", timeout=5) as answer:
                text: str = answer.read().decode()
        except OSError:
            return None
        return text


def owners_on(page: str) -> Owners:
    """Return the owners that a page shows, of the GPUs that have one."""
    found: dict[str, set[str]] = {}
    for series in read_series(page):
        labels = series.labels
        if series.name == "DCGM_FI_DEV_FB_USED" and labels.get("pod"):
            entity = "/".join(filter(None, (labels["UUID"], labels.get("GPU_I_ID"))))
            owner = f"{labels['namespace']}/{labels['pod']}/{labels['container']}"
            found.setdefault(entity, set()).add(owner)
    return {entity: frozenset(owners) for entity, owners in found.items()}
