"""Keeps the owners of all entities up to date, off the scrape path and off NVML's: a look each quarter of a second."""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from exporter.attribution.claims import Claims, DraDevices, Resources, find_claims
from exporter.attribution.device_ids import EntityIndex
from exporter.attribution.jobs import file_name
from exporter.attribution.owners import Context, PodMeta, attribute
from exporter.attribution.strange_ids import StrangeIds
from exporter.model import Attribution, Clock, Entity
from podresources.allocations import Allocations
from podresources.poller import Polled

log = logging.getLogger(__name__)

LOOK_S = 0.25
SILENT_AFTER_S = 60.0
"""After what time without an answer kubelet's last one says nothing any more."""

_STOP_S = 1.0


@dataclass(frozen=True, slots=True)
class Sources:
    """Where attribution looks; each callable answers at once with something immutable.

    `entities` are those that are exported, `holdable` all that pods can be given on this node. `pods` are this node's
    pods by the API server, None while nobody knows, and complete when every pod that has not ended is among them;
    `jobs` HPC jobs by the name of their file.
    """

    entities: Callable[[], tuple[Entity, ...]]
    polled: Callable[[], Polled]
    holdable: Callable[[], tuple[Entity, ...]] = tuple
    pods: Callable[[], Mapping[tuple[str, str], PodMeta] | None] = lambda: None
    pods_complete: Callable[[], bool] = lambda: False
    jobs: Callable[[], Mapping[str, tuple[str, ...]]] = dict
    dra: Callable[[], DraDevices] = dict


@dataclass(frozen=True, slots=True)
class AttributionOptions:
    """Which resources count, and which labels owners get besides their own."""

    resources: Resources = field(default_factory=Resources)
    name_shares: bool = False
    with_uid: bool = False


class _Seen(NamedTuple):
    """All that owners depend on."""

    entities: tuple[Entity, ...]
    holdable: tuple[Entity, ...]
    allocations: Allocations
    is_silent: bool
    pods: Mapping[tuple[str, str], PodMeta] | None
    pods_complete: bool
    jobs: Mapping[str, tuple[str, ...]]
    dra: DraDevices


class Attributor:
    """Publishes owners; readers never wait."""

    def __init__(self, sources: Sources, naming: AttributionOptions, clock: Clock) -> None:
        self._sources = sources
        self._naming = naming
        self._clock = clock
        self._seen: _Seen | None = None
        self._claims = Claims(())
        self._attribution = Attribution({})
        self._strange = StrangeIds()
        self._is_failing = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="attribution", daemon=True)

    def attribution(self) -> Attribution:
        """Return the newest owners of all entities."""
        return self._attribution

    def unmatched_total(self) -> int:
        """Return how many device ids have been met that mean nothing on this node; each counts once while it stays."""
        return self._strange.total

    def silent(self) -> bool:
        """Say whether owners are unknown: kubelet has not answered yet, or not for too long."""
        return self._is_failing or self._is_silent(self._sources.polled())

    def settled(self) -> bool:
        """Say whether an answer of kubelet's has been attributed."""
        seen = self._seen
        return seen is not None and not seen.is_silent

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; returns within a second."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(_STOP_S)

    def look(self) -> None:
        """Attribute again if anything has changed since the last look, and note the ids that mean nothing."""
        seen = self._see()
        if seen != self._seen:
            self._claims = self._find_claims(seen)
            jobs = {e: seen.jobs[file_name(e)] for e in seen.entities if file_name(e) in seen.jobs}
            context = Context(seen.pods, seen.pods_complete, jobs, seen.is_silent, self._naming.with_uid)
            self._attribution = attribute(seen.entities, self._claims, context)
        self._seen = seen
        self._strange.note(self._claims.unmatched, self._clock.monotonic())

    def _see(self) -> _Seen:
        sources = self._sources
        polled = sources.polled()
        return _Seen(
            sources.entities(),
            sources.holdable(),
            polled.allocations,
            self._is_silent(polled),
            sources.pods(),
            sources.pods_complete(),
            sources.jobs(),
            sources.dra(),
        )

    def _is_silent(self, polled: Polled) -> bool:
        return polled.at is None or self._clock.monotonic() - polled.at >= SILENT_AFTER_S

    def _find_claims(self, seen: _Seen) -> Claims:
        """Join allocations with all that can be held; where no GPU is known, as without NVML, no id is strange."""
        index = EntityIndex((*seen.holdable, *seen.entities))
        naming = self._naming
        claims = find_claims(seen.allocations, index, naming.resources, seen.dra, name_shares=naming.name_shares)
        return claims if seen.holdable or seen.entities else Claims((), lacks_slices=claims.lacks_slices)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.look()
                self._is_failing = False
            except Exception:
                if not self._is_failing:
                    log.exception("attribution failed; owners are unknown until it works again")
                self._is_failing, self._seen, self._attribution = True, None, Attribution({})
            self._stopping.wait(LOOK_S)
