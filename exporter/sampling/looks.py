"""Looks at GPUs, each on a thread of its own: a GPU that hangs while it is looked at keeps no other one waiting."""

import logging
import threading
from collections.abc import Collection
from concurrent.futures import Future
from functools import partial
from typing import Any, NamedTuple

from exporter.model import Clock, Reason
from exporter.nvml.calls import Calls
from exporter.nvml.entities import Layout, find_layout
from exporter.sampling.own_thread import HANGING_AFTER_S, on_own_thread

log = logging.getLogger(__name__)

PATIENCE_S = 0.1
"""How long all looks together are waited for; an H100 that the driver has initialised takes 1 ms."""

_POLL_S = 0.002


class _Look(NamedTuple):
    """One look, and since when it is under way, in monotonic seconds."""

    found: Future[Layout | Reason]
    began: float


class Looks:
    """The looks that are under way. Used by one thread, the supervisor's, which `stopping` keeps from waiting."""

    def __init__(self, library: Any, clock: Clock, stopping: threading.Event) -> None:
        self._library = library
        self._clock = clock
        self._stopping = stopping
        self._begun: dict[int, _Look] = {}

    def under_way(self) -> frozenset[int]:
        """Return the indices of the GPUs whose look has not ended."""
        return frozenset(index for index, look in self._begun.items() if not look.found.done())

    def has_news(self) -> bool:
        """Say whether a look has ended that had not when it was asked for."""
        return any(look.found.done() for look in self._begun.values())

    def forget(self) -> None:
        """Drop what has been found and not been asked for; only while no look is under way."""
        self._begun = {}

    def look(self, indices: Collection[int]) -> dict[int, Layout | Reason]:
        """Look at GPUs, but wait no longer than PATIENCE_S; a look that takes longer continues, and is not repeated.

        Returns:
            What each index is; Reason.NO_SAMPLE_YET where that is not known yet, TIMEOUT where the look hangs,
            NO_THREAD where it could not begin.
        """
        now = self._clock.monotonic()
        for index in indices:
            if index not in self._begun:
                self._begin(index, now)
        deadline = now + PATIENCE_S
        while self.under_way() and self._clock.monotonic() < deadline and not self._stopping.wait(_POLL_S):
            pass
        return {index: self._answer(index, now) for index in indices}

    def _begin(self, index: int, now: float) -> None:
        look = partial(find_layout, Calls(self._library), index)
        try:
            self._begun[index] = _Look(on_own_thread(f"look-{index}", look), now)
        except RuntimeError:
            self._begun.pop(index, None)

    def _answer(self, index: int, now: float) -> Layout | Reason:
        look = self._begun.get(index)
        if look is None:
            return Reason.NO_THREAD
        if not look.found.done():
            return Reason.TIMEOUT if now - look.began >= HANGING_AFTER_S else Reason.NO_SAMPLE_YET
        del self._begun[index]
        error = look.found.exception()
        if error is not None:  # an answer of another shape than promised costs this GPU alone
            log.debug("GPU %d: %r", index, error)
            return Reason.UNREADABLE
        found = look.found.result()
        return Reason.UNKNOWN if found is Reason.TIMEOUT else found  # it has returned
