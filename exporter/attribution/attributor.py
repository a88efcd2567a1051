"""Keeps the owners of all entities up to date, off the scrape path and off NVML's: a look each half second."""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from exporter.attribution.claims import Claims, DraDevices, Resources, find_claims
from exporter.attribution.device_ids import EntityIndex
from exporter.attribution.jobs import file_name
from exporter.attribution.owners import Context, PodMeta, attribute
from exporter.model import Attribution, Clock, Entity
from podresources.allocations import Allocations
from podresources.poller import Polled

log = logging.getLogger(__name__)

LOOK_S = 0.5
SILENT_AFTER_S = 60.0
"""After what time without an answer kubelet's last one says nothing any more."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where attribution looks; each callable answers at once with something immutable.

    `pods` are this node's pods by the API server, None while nobody knows, and complete when every pod that has not
    ended is among them; `jobs` HPC jobs by the name of their file.
    """

    entities: Callable[[], tuple[Entity, ...]]
    polled: Callable[[], Polled]
    pods: Callable[[], Mapping[tuple[str, str], PodMeta] | None] = lambda: None
    pods_complete: Callable[[], bool] = lambda: False
    jobs: Callable[[], Mapping[str, tuple[str, ...]]] = dict
    dra: Callable[[], DraDevices] = dict


@dataclass(frozen=True, slots=True)
class Naming:
    """Which resources count, and which labels owners get besides their own."""

    resources: Resources = field(default_factory=Resources)
    name_shares: bool = False
    with_uid: bool = False


class _Seen(NamedTuple):
    """All that owners depend on."""

    entities: tuple[Entity, ...]
    allocations: Allocations
    is_silent: bool
    pods: Mapping[tuple[str, str], PodMeta] | None
    pods_complete: bool
    jobs: Mapping[str, tuple[str, ...]]
    dra: DraDevices


class Attributor:
    """Publishes owners; readers never wait."""

    def __init__(self, sources: Sources, naming: Naming, clock: Clock) -> None:
        self._sources = sources
        self._naming = naming
        self._clock = clock
        self._began = clock.monotonic()
        self._seen: _Seen | None = None
        self._attribution = Attribution({})
        self._unmatched: frozenset[str] = frozenset()
        self._unmatched_total = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="attribution", daemon=True)

    def attribution(self) -> Attribution:
        """Return the newest owners of all entities."""
        return self._attribution

    def unmatched_total(self) -> int:
        """Return how many device ids have been met that mean no entity; each counts once while it stays."""
        return self._unmatched_total

    def silent(self) -> bool:
        """Say whether kubelet has not answered for so long that owners are unknown."""
        at = self._sources.polled().at
        return self._clock.monotonic() - (self._began if at is None else at) >= SILENT_AFTER_S

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()

    def look(self) -> None:
        """Attribute again if anything has changed since the last look."""
        seen = self._see()
        if seen == self._seen:
            return
        claims = find_claims(
            seen.allocations,
            EntityIndex(seen.entities),
            self._naming.resources,
            seen.dra,
            name_shares=self._naming.name_shares,
        )
        jobs = {e: seen.jobs[file_name(e)] for e in seen.entities if file_name(e) in seen.jobs}
        context = Context(seen.pods, seen.pods_complete, jobs, seen.is_silent, self._naming.with_uid)
        self._attribution = attribute(seen.entities, claims, context)
        self._note_unmatched(claims)
        self._seen = seen

    def _see(self) -> _Seen:
        sources = self._sources
        polled = sources.polled()
        return _Seen(
            sources.entities(),
            polled.allocations,
            polled.at is None or self.silent(),
            sources.pods(),
            sources.pods_complete(),
            sources.jobs(),
            sources.dra(),
        )

    def _run(self) -> None:
        while not self._stopping.wait(LOOK_S):
            try:
                self.look()
            except Exception:
                log.exception("attribution failed; the owners stay as they were")

    def _note_unmatched(self, claims: Claims) -> None:
        for device_id in sorted(claims.unmatched - self._unmatched):
            log.warning("kubelet lists the device %r, which no GPU or MIG instance of this exporter is", device_id)
            self._unmatched_total += 1
        self._unmatched = claims.unmatched
