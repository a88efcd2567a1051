"""Counts values that could not be read, and says in the log what is missing: one line for all that a model has not."""

import logging
import threading
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import NamedTuple

from exporter.model import Entity, Missing, Reason

log = logging.getLogger(__name__)

NORMAL = frozenset({Reason.NOT_SUPPORTED, Reason.NOT_A_NUMBER})
"""Reasons that every fleet meets, for all GPUs of a model alike; no warnings."""

MOST_NAMES = 5
"""How many fields a line names for one reason."""

EVERYTHING = "all"
"""Stands where a field would, when a GPU answers nothing at all; workers says that in the log."""


class _Lack(NamedTuple):
    """What is said once: who has no value of which field, and why."""

    who: str
    reason: Reason
    because: str
    name: str


class Failures:
    """What has failed since the start, by field and reason. Told by all workers, read by telemetry."""

    def __init__(self, printed: Callable[[str], str] = str) -> None:
        """Count under the names that `printed` gives the fields: those of the user's counters file."""
        self._printed = printed
        self._totals: Counter[tuple[str, Reason]] = Counter()
        self._said: set[_Lack] = set()
        self._news: dict[_Lack, None] = {}
        self._news_before = 0
        self._lock = threading.Lock()

    def __call__(self, missing: Missing) -> None:
        """Count one failed value; `report` says it if its GPU, or model, has not failed in this way before."""
        name, reason = self._printed(missing.field), missing.reason
        who = _model(missing.entity) if reason in NORMAL else _place(missing.entity)
        lack = _Lack(who, reason, missing.because, name)
        with self._lock:
            self._totals[name, reason] += 1
            if lack not in self._said and missing.field != EVERYTHING:
                self._news.setdefault(lack)

    def report(self) -> None:
        """Say what is new, in one line for all that something has not: how many fields for each reason, and the first.

        Called now and then; waits until a call finds no more news than the one before, as the first collections of a
        start are under way until then.
        """
        with self._lock:
            if len(self._news) != self._news_before:
                self._news_before = len(self._news)
                return
            news, self._news, self._news_before = self._news, {}, 0
            self._said |= news.keys()
        lines: defaultdict[tuple[str, int], defaultdict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for who, reason, because, name in news:
            why = f"{reason}, {because}" if because else reason
            lines[who, logging.INFO if reason in NORMAL else logging.WARNING][why].append(name)
        for (who, level), names in lines.items():
            log.log(level, "%s has no %s", who, "; ".join(f"{_some(found)}: {why}" for why, found in names.items()))

    def totals(self) -> dict[tuple[str, Reason], int]:
        """Return how often each field has been missing for each reason."""
        with self._lock:
            return dict(self._totals)


def _some(names: list[str]) -> str:
    """Return the first names and the number of others: 200 fields would make a line that nobody can read."""
    if len(names) <= MOST_NAMES:
        return ", ".join(names)
    return f"{', '.join(names[:MOST_NAMES])} and {len(names) - MOST_NAMES} more (listed at /)"


def _model(entity: Entity) -> str:
    """Return what all entities of this kind have in common."""
    model = entity.gpu.model or _place(entity)
    return f"MIG {entity.instance.profile} of {model}" if entity.instance else model


def _place(entity: Entity) -> str:
    return f"GPU {entity.gpu.index}" + (f" instance {entity.instance.gpu_instance_id}" if entity.instance else "")
