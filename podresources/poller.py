"""The poller: asks kubelet each second in a thread of its own, and keeps what it said last.

Readers take `latest()`, which never waits. How old an answer may be before owners count as unknown is their affair.
"""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

from podresources.allocations import Allocations
from podresources.errors import PodResourcesError
from podresources.periodic import Periodic
from podresources.time_source import TimeSource

log = logging.getLogger(__name__)

INTERVAL_S = 1.0
"""The pause between two calls."""

REPEAT_S = 60.0
"""How long a trouble that comes and goes, while another one lasts, is not named again."""


class Lister(Protocol):
    """What is polled: a PodResourcesClient."""

    def list(self) -> Allocations:
        """Return who holds what, or raise PodResourcesError."""

    def close(self) -> None:
        """End a `list` that waits, and make every later one fail."""


@dataclass(frozen=True, slots=True)
class Polled:
    """The last good answer, and what has gone wrong since.

    Attributes:
        allocations: Who held what at `at`; empty as long as there was no answer at all.
        at: When the call that gave this answer was made (monotonic seconds); None before the first answer.
        at_time: The same moment in seconds since the epoch.
        error: Why the newest call failed; None if it succeeded, and before the first one.
        failing_since: When the first of the calls that have failed one after the other was made (monotonic seconds).
        failures: How many calls have failed since the start, by `PodResourcesError.reason`.
    """

    allocations: Allocations = ()
    at: float | None = None
    at_time: float | None = None
    error: PodResourcesError | None = None
    failing_since: float | None = None
    failures: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))


class Poller:
    """Polls from `start` to `stop`, in a daemon thread.

    It logs when it begins to fail, when it fails in another way, and when it works again.
    """

    def __init__(self, lister: Lister, clock: TimeSource = time, interval_s: float = INTERVAL_S) -> None:
        self._lister = lister
        self._clock = clock
        self._latest = Polled()
        self._trouble = ""  # the one that was logged last
        self._logged: dict[str, float] = {}  # when each was, since kubelet answered last
        self._periodic = Periodic(
            "pod-resources", self.poll, interval_s, "pod resources: a poll failed; the last answer stays in force"
        )

    def latest(self) -> Polled:
        """Return the newest state, whatever kubelet does at the moment."""
        return self._latest

    def start(self) -> None:
        """Begin to poll; the first call is made at once."""
        self._periodic.start()

    def stop(self) -> None:
        """Stop polling and close the lister; returns within a second, also while a call hangs."""
        self._periodic.stop(interrupt=self._lister.close)

    def poll(self) -> None:
        """Ask once and keep the outcome."""
        before = self._latest
        monotonic, wall = self._clock.monotonic(), self._clock.time()
        try:
            allocations = self._lister.list()
        except PodResourcesError as error:
            self._latest = _after_failure(before, error, monotonic)
        else:
            self._latest = Polled(allocations, monotonic, wall, failures=before.failures)
        if not self._periodic.is_stopping:
            self._log_change(before, self._latest)

    def _log_change(self, before: Polled, after: Polled) -> None:
        now = self._clock.monotonic()
        if after.error is not None:
            self._log_trouble(after.error, now)
        elif before.failing_since is not None:
            log.info("pod resources: kubelet answers again after %.0f s", now - before.failing_since)
            self._trouble = ""
            self._logged.clear()

    def _log_trouble(self, error: PodResourcesError, now: float) -> None:
        logged = self._logged.get(error.trouble, float("-inf"))
        if error.trouble != self._trouble and now - logged >= REPEAT_S:
            log.warning("pod resources: %s", error)
            self._trouble = error.trouble
            self._logged[error.trouble] = now


def _after_failure(before: Polled, error: PodResourcesError, at: float) -> Polled:
    failures = MappingProxyType({**before.failures, error.reason: before.failures.get(error.reason, 0) + 1})
    since = at if before.failing_since is None else before.failing_since
    return Polled(before.allocations, before.at, before.at_time, error, since, failures)
