"""What kubelet lists and no owner can be made of, named in the log, once each.

Device ids that mean nothing on this node, which are counted, and resources that do not count though they list its GPUs.
"""

import logging
from collections.abc import Set as AbstractSet

from exporter.errors import describe

log = logging.getLogger(__name__)

STRANGE_AFTER_S = 15.0
"""How long an id may mean nothing before it counts: GPUs are looked for each 5 s, and one may hang meanwhile."""

MOST_NAMED = 10
"""How many ids one line of the log names, and how many resources are named at all."""


class StrangeIds:
    """Remembers since when each id has meant nothing. One that matched in between starts over.

    Attributes:
        total: How many have been met.
    """

    def __init__(self) -> None:
        self.total = 0
        self._since: dict[str, float] = {}
        self._counted: set[str] = set()

    def note(self, ids: AbstractSet[str], now: float) -> None:
        """Take all ids that mean nothing at a moment, in monotonic seconds."""
        self._since = {device_id: self._since.get(device_id, now) for device_id in ids}
        strange = {device_id for device_id, since in self._since.items() if now - since >= STRANGE_AFTER_S}
        new = sorted(strange - self._counted)
        self._counted = strange
        if new:
            self.total += len(new)
            named = ", ".join(map(describe, new[:MOST_NAMED])) + (", ..." if len(new) > MOST_NAMED else "")
            log.warning("kubelet lists ids that match no GPU or MIG instance of this node (%d): %s", len(new), named)


class OtherResources:
    """Remembers which resources have been named."""

    def __init__(self) -> None:
        self._named: set[str] = set()

    def note(self, resources: AbstractSet[str]) -> None:
        """Take all resources that list GPUs of this node and do not count."""
        for resource in sorted(resources - self._named)[: MOST_NAMED - len(self._named)]:
            log.warning(
                "kubelet lists GPUs of this node under the resource %s, which the exporter ignores: add it to"
                " --nvidia-resource-names",
                describe(resource),
            )
            self._named.add(resource)
