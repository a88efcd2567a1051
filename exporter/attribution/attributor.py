"""Keeps the owners of all entities up to date, off the scrape path and off NVML's: a look each quarter of a second."""

from collections.abc import Callable
from dataclasses import dataclass, field

from exporter.attribution.claims import Claims, Dra, Resources, find_claims
from exporter.attribution.device_ids import EntityIndex
from exporter.attribution.owners import Evidence, Why, attribute
from exporter.attribution.pod_memory import PodMemory
from exporter.attribution.resource_slices import DeviceMemory
from exporter.attribution.strange_ids import OtherResources, StrangeIds
from exporter.model import Attribution, Clock
from podresources.allocations import Allocations, ClaimAllocation
from podresources.errors import IncompleteList
from podresources.periodic import Periodic
from podresources.poller import Polled

LOOK_S = 0.25
SILENT_AFTER_S = 60.0
"""How long kubelet's last answer stays valid if no new one arrives."""

_NOTHING = Attribution({})


@dataclass(frozen=True, slots=True)
class AttributionOptions:
    """Which resources count, and which labels owners get besides their own."""

    resources: Resources = field(default_factory=Resources)
    name_shares: bool = False
    with_uid: bool = False


def known_allocations(polled: Polled, now: float) -> Allocations | Why:
    """Return what kubelet listed last, or why that is not known: no list is recent enough to be true."""
    if polled.at is not None and now - polled.at < SILENT_AFTER_S:
        return polled.allocations
    return Why.KUBELET_STARTING if isinstance(polled.error, IncompleteList) else Why.KUBELET_SILENT


class Attributor:
    """Publishes owners from `start` to `stop`; readers never wait."""

    def __init__(self, observe: Callable[[], Evidence], options: AttributionOptions, clock: Clock) -> None:
        """Prepare the thread; `observe` answers at once, with something immutable."""
        self._observe = observe
        self._options = options
        self._clock = clock
        self._evidence: Evidence | None = None
        self._claims = Claims(())
        self._attribution = _NOTHING
        self._strange = StrangeIds()
        self._pod_memory = PodMemory()
        self._others = OtherResources()
        self._devices = DeviceMemory()
        self._periodic = Periodic(
            "attribution", self.look, LOOK_S, "attribution failed; owners are unknown until it succeeds"
        )

    def attribution(self) -> Attribution:
        """Return the newest owners of all entities; none while finding them fails."""
        return _NOTHING if self._periodic.is_failing else self._attribution

    def unmatched_total(self) -> int:
        """Return how many device ids have been met that mean nothing on this node; each counts once while it stays."""
        return self._strange.total

    def knows_owners(self) -> bool:
        """Say whether `attribution` rests on an answer of kubelet's that is recent enough."""
        evidence = self._evidence
        return not (self._periodic.is_failing or evidence is None or isinstance(evidence.allocations, Why))

    def start(self) -> None:
        """Begin; returns at once."""
        self._periodic.start()

    def stop(self) -> None:
        """End the thread; returns within a second."""
        self._periodic.stop()

    def look(self) -> None:
        """Attribute again if anything has changed since the last look, and note the ids that mean nothing."""
        evidence = self._observe()
        if evidence != self._evidence:
            self._claims = self._find_claims(evidence)
            judged = self._pod_memory.judge(evidence, self._clock.monotonic())
            self._attribution = attribute(judged, self._claims, with_uid=self._options.with_uid)
        self._evidence = evidence
        if not isinstance(evidence.allocations, Why):
            self._strange.note(self._claims.unmatched, self._clock.monotonic())
            self._others.note({resource for _, resource in self._claims.uncounted})

    def _find_claims(self, evidence: Evidence) -> Claims:
        """Join allocations with all that can be held; where no GPU is known, as without NVML, no id is strange."""
        if isinstance(evidence.allocations, Why):
            return Claims(())
        options = self._options
        index = EntityIndex((*evidence.holdable, *evidence.entities))
        held = {(held.pool, held.device) for held in evidence.allocations if isinstance(held, ClaimAllocation)}
        dra = Dra(self._devices.devices(evidence.slices or {}, held), evidence.admin_access)
        claims = find_claims(evidence.allocations, index, options.resources, dra, name_shares=options.name_shares)
        return claims if evidence.holdable or evidence.entities else Claims((), lacks_slices=claims.lacks_slices)
