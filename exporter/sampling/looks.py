"""Looks at GPUs, each on a thread of its own: a GPU that hangs while it is looked at keeps no other one waiting."""

import logging
import threading
from collections.abc import Collection
from typing import Any

from exporter.model import Clock, Reason
from exporter.nvml.calls import Calls
from exporter.nvml.entities import Layout, find_layout

log = logging.getLogger(__name__)

PATIENCE_S = 0.1
"""How long all looks together are waited for; an H100 that the driver has initialised takes 1 ms."""

HANGING_AFTER_S = 3.0
"""After what time a look is taken for one that hangs; without persistence mode one may take a second or two."""

_POLL_S = 0.002


class Looks:
    """The looks that are under way. Used by one thread, the supervisor's, which `stopping` keeps from waiting."""

    def __init__(self, library: Any, clock: Clock, stopping: threading.Event) -> None:
        self._library = library
        self._clock = clock
        self._stopping = stopping
        self._under_way: dict[int, _Look] = {}

    def under_way(self) -> frozenset[int]:
        """Return the indices of the GPUs whose look has not ended."""
        return frozenset(index for index, look in self._under_way.items() if not look.has_ended())

    def has_news(self) -> bool:
        """Say whether a look has ended that had not when it was asked for."""
        return any(look.has_ended() for look in self._under_way.values())

    def forget(self) -> None:
        """Drop what has been found and not been asked for; only while no look is under way."""
        self._under_way = {}

    def look(self, indices: Collection[int]) -> dict[int, Layout | Reason]:
        """Look at GPUs, but wait no longer than PATIENCE_S; a look that takes longer goes on, and is not made twice.

        Returns:
            What each index is; Reason.NO_SAMPLE_YET where that is not known yet, TIMEOUT where the look hangs.
        """
        now = self._clock.monotonic()
        for index in indices:
            if index not in self._under_way:
                self._under_way[index] = _Look(self._library, index, now)
        deadline = now + PATIENCE_S
        while self.under_way() and self._clock.monotonic() < deadline and not self._stopping.wait(_POLL_S):
            pass
        return {index: self._answer(index, now) for index in indices}

    def _answer(self, index: int, now: float) -> Layout | Reason:
        look = self._under_way[index]
        if look.has_ended():
            del self._under_way[index]
            return Reason.UNKNOWN if look.found is Reason.TIMEOUT else look.found  # it has returned
        return Reason.TIMEOUT if now - look.began >= HANGING_AFTER_S else Reason.NO_SAMPLE_YET


class _Look:
    """One look, which begins at once."""

    def __init__(self, library: Any, index: int, now: float) -> None:
        self.began = now
        self.found: Layout | Reason = Reason.UNKNOWN
        self._library = library
        self._index = index
        self._thread = threading.Thread(target=self._run, name=f"look-{index}", daemon=True)
        self._thread.start()

    def has_ended(self) -> bool:
        """Say whether `found` is what the look found."""
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self.found = find_layout(Calls(self._library), self._index)
        except Exception as error:  # noqa: BLE001 - an answer of another shape than promised costs this GPU alone
            log.debug("GPU %d: %r", self._index, error)
            self.found = Reason.UNREADABLE
