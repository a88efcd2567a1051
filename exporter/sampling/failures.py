"""Counts values that could not be read, and says each in the log once."""

import logging
import threading
from collections import Counter
from collections.abc import Callable

from exporter.model import Missing, Reason

log = logging.getLogger(__name__)

NORMAL = frozenset({Reason.NOT_SUPPORTED, Reason.NOT_A_NUMBER})
"""Reasons that every fleet meets; no warnings."""

EVERYTHING = "all"
"""Stands where a field would, when a GPU answers nothing at all; workers says that in the log."""


class Failures:
    """What has failed since the start, by field and reason. Told by all workers, read by telemetry."""

    def __init__(self, printed: Callable[[str], str] = str) -> None:
        """Count under the names that `printed` gives the fields: those of the user's counters file."""
        self._printed = printed
        self._totals: Counter[tuple[str, Reason]] = Counter()
        self._said: set[tuple[str, str, Reason]] = set()
        self._lock = threading.Lock()

    def __call__(self, missing: Missing) -> None:
        """Count one failed value; log it if this entity has not failed in this way before."""
        name = self._printed(missing.field)
        instance = missing.entity.instance
        place = f"GPU {missing.entity.gpu.index}" + (f" instance {instance.gpu_instance_id}" if instance else "")
        said = (place, name, missing.reason)
        with self._lock:
            self._totals[name, missing.reason] += 1
            if said in self._said or missing.field == EVERYTHING:
                return
            self._said.add(said)
        level = logging.INFO if missing.reason in NORMAL else logging.WARNING
        log.log(level, "%s has no %s: %s", place, name, missing.reason)

    def totals(self) -> dict[tuple[str, Reason], int]:
        """Return how often each field has been missing for each reason."""
        with self._lock:
            return dict(self._totals)
