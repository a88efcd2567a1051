"""One daemon thread a GPU: collects on time, publishes by one assignment, and never takes anything else along."""

import logging
import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from exporter.catalogue.reading import Tracker
from exporter.model import Clock, DeviceSnapshot, Sample
from exporter.sampling.pace import life_s
from exporter.sampling.plan import Plan
from exporter.sampling.sampler import Sampler
from exporter.sampling.trackers.tracker import DeviceTracker

log = logging.getLogger(__name__)

FIRST_PAIR_S = 0.15
"""Distance of the first two collections, so that rates and pairs are there at once."""


@dataclass(frozen=True, slots=True)
class Timetable:
    """When to collect: every `interval_s`, at `phase_s` after its multiples on the monotonic clock.

    If collections lie further apart than `keep_up_s`, what the driver keeps for some seconds only is read in between.
    """

    interval_s: float
    phase_s: float
    keep_up_s: float = 10.0

    def wait_s(self, now: float) -> float:
        """Return the seconds from `now` to the next collection, more than 0."""
        left = self.interval_s - (now - self.phase_s) % self.interval_s
        return left or self.interval_s  # a remainder just below 0 is rounded to the whole interval


class Worker:
    """Collects from one device until it is stopped.

    Attributes:
        device: What it collects from.
        snapshot: The newest snapshot, or None before the first.
        is_failing: Whether the last collection failed by a mistake of ours, so that the snapshot is not its own.
        last_words: What stays true of the GPU after the thread has ended.
    """

    def __init__(self, sampler: Sampler, plan: Callable[[], Plan], timetable: Timetable, clock: Clock) -> None:
        """Make a worker that `start` lets work; `plan` is asked before each collection."""
        self.device = sampler.device
        self.snapshot: DeviceSnapshot | None = None
        self.last_words: tuple[Sample, ...] = ()
        self._sampler = sampler
        self._plan = plan
        self._timetable = timetable
        self._clock = clock
        self._started = clock.monotonic()
        self.is_failing = False
        self._wants_look = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"gpu-{sampler.device.gpu.index}", daemon=True)

    def start(self) -> None:
        """Begin to collect.

        Raises:
            RuntimeError: No thread can be started.
        """
        self._thread.start()

    @property
    def is_stopping(self) -> bool:
        """Whether the thread has been asked to end, and may have ended."""
        return self._stopping.is_set()

    @property
    def has_died(self) -> bool:
        """Whether the thread has ended without having been asked to."""
        return not self._thread.is_alive() and not self._stopping.is_set()

    def legacy(self) -> Mapping[Tracker, DeviceTracker]:
        """Return what a later worker of the same GPU continues from; after the thread has ended."""
        return self._sampler.legacy()

    def wants_look(self) -> bool:
        """Say whether it was found, since this was asked last, that the device may not be as it was."""
        wants = self._wants_look.is_set()
        self._wants_look.clear()
        return wants

    def stop(self) -> None:
        """Ask the thread to end after the call that it is in."""
        self._stopping.set()

    def ended(self, within_s: float) -> bool:
        """Wait for the thread to end; return whether it has. A thread in a call that hangs has not."""
        self._thread.join(within_s)
        return not self._thread.is_alive()

    def is_late(self, now: float) -> bool:
        """Say whether three collections have been missed, so that nothing published is still true."""
        first = self._started + life_s(self._timetable.interval_s)
        return now >= (max(first, self.snapshot.expires) if self.snapshot else first)

    def _run(self) -> None:
        followed: Plan | None = None
        wait_s = FIRST_PAIR_S
        try:
            while not self._stopping.is_set():
                followed = self._collect(followed)
                self._wait(wait_s)
                wait_s = self._timetable.wait_s(self._clock.monotonic())
        finally:
            self.last_words = self._sampler.close()

    def _wait(self, wait_s: float) -> None:
        """Wait for the next collection, in equal parts of `keep_up_s` at most: so nothing read meanwhile delays it."""
        longest_s = self._timetable.keep_up_s
        while (parts := math.ceil(wait_s / longest_s)) > 1 and not self._stopping.wait(wait_s / parts):
            self._keep_up()
            wait_s = self._timetable.wait_s(self._clock.monotonic())
        self._stopping.wait(wait_s)

    def _keep_up(self) -> None:
        try:
            self._sampler.keep_up()
            self._ask_for_look()
        except Exception as error:  # noqa: BLE001 - the next collection meets it, too, and tells it
            log.debug("GPU %d: %r", self.device.gpu.index, error)

    def _ask_for_look(self) -> None:
        if self._sampler.is_outdated:
            self._wants_look.set()

    def _collect(self, followed: Plan | None) -> Plan | None:
        """Publish one more snapshot; return the plan that is followed from now on."""
        plan = self._plan()
        try:
            if followed is not plan:
                self._sampler.follow(plan)
                followed = plan
            self.snapshot = self._sampler.collect()
            self._ask_for_look()
            self.is_failing = False
        except Exception:
            if not self.is_failing:
                log.exception("GPU %d: a collection failed; logged once until one succeeds", self.device.gpu.index)
            self.is_failing = True
        return followed
