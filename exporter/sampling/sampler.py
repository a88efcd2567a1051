"""Takes one device's snapshots: reads what is due, keeps what is not, and holds the device's trackers."""

import math
import time
from collections.abc import Callable, Iterator, Mapping

from exporter.catalogue.reading import COLLECTION, LAYOUT, Tracked, Tracker
from exporter.model import Cost, DeviceSnapshot, Entity, Missing, Reason, Sample
from exporter.nvml.calls import DEVICE_GONE, Calls, FieldAnswer, FieldId
from exporter.nvml.entities import Device, displaced_instances, is_mig_switched_off
from exporter.sampling.failures import EVERYTHING
from exporter.sampling.pace import CollectionPace, Pacing
from exporter.sampling.plan import Plan
from exporter.sampling.slot import Slot
from exporter.sampling.sources import TrackerSource, bind
from exporter.sampling.trackers import TRACKERS
from exporter.sampling.trackers.tracker import DeviceTracker, FieldValues

OnMissing = Callable[[Missing], None]
"""Is told of each value that was asked for and not given; what is not supported is told once."""

_SILENCE = frozenset({Reason.UNKNOWN, Reason.UNREADABLE, Reason.TIMEOUT, Reason.NOT_PERMITTED})
"""Reasons that say nothing of the GPU when one reading has them, and that it is gone when all have."""


class Sampler:
    """One device's sampler. Used by one thread at a time; what it makes is immutable.

    Attributes:
        device: The device, as it was when it was looked at.
        is_outdated: Whether a change was noticed since the last collection began.
    """

    def __init__(self, device: Device, calls: Calls, pacing: Pacing, on_missing: OnMissing) -> None:
        self.device = device
        self.is_outdated = False
        self._calls = calls
        self._pacing = pacing
        self._on_missing = on_missing
        self._slots: list[Slot] = []
        self._next_retry = math.inf
        self._trackers: dict[Tracker, DeviceTracker] = {}
        self._tracked: tuple[TrackerSource, ...] = ()
        self._former: Mapping[Tracker, DeviceTracker] = {}
        self._kinds_of_means: frozenset[Tracker] = frozenset()
        self._told: set[Missing] = set()
        self._pace = CollectionPace(pacing.clock, pacing.interval_s)
        self._displaced: frozenset[Entity] = frozenset()

    def inherit(self, former: Mapping[Tracker, DeviceTracker]) -> None:
        """Go on from the trackers of an ended sampler of the same GPU; before anything is followed."""
        self._former = former

    def legacy(self) -> Mapping[Tracker, DeviceTracker]:
        """Return the trackers that outlive the GPU, for a later sampler of the same GPU to inherit."""
        own = {kind: tracker for kind, tracker in self._trackers.items() if tracker.outlives_gpu}
        return {**self._former, **own}

    def follow(self, plan: Plan) -> None:
        """Read by this plan from now on. Trackers stay, so rates, totals and windows continue."""
        kinds_of_means = frozenset(kind for kind, all_of in plan.tracked.items() if not all(r.is_total for r in all_of))
        for kind in (self._trackers.keys() - plan.tracked.keys()) | (self._kinds_of_means - kinds_of_means):
            self._trackers[kind].interrupt()  # or a mean that is asked for again would span all the time between
        self._kinds_of_means = kinds_of_means
        self._tracked = tuple(source for tracked in plan.tracked.items() for source in self._bind_tracker(*tracked))
        sources = (*bind(plan, self.device, self._calls), *self._tracked)
        self._slots = [Slot(source, self._pacing) for source in sources]

    def _bind_tracker(self, kind: Tracker, readings: tuple[Tracked, ...]) -> Iterator[TrackerSource]:
        """Yield a source for each pace."""
        if kind not in self._trackers:
            self._trackers[kind] = TRACKERS[kind](self._calls, self.device, self._pacing.clock)
            if kind in self._former:
                self._trackers[kind].inherit(self._former[kind])
        for pace in dict.fromkeys(reading.pace for reading in readings):
            of_pace = tuple(reading for reading in readings if reading.pace == pace)
            yield TrackerSource(self._trackers[kind], of_pace, self._newest)

    def collect(self) -> DeviceSnapshot:
        """Read everything that is due.

        Returns:
            The newest samples, those of longer periods included. If the GPU answers nothing, `gone` says why, and
            there is nothing but what outlives it, such as the Xid that was heard last.
        """
        started, spent_s, count = time.perf_counter(), self._calls.spent_s, self._calls.count
        self._note_time()
        self._pace.begin()
        self._check_layout()
        self._take_up_again()
        gone = self._read_due()
        self._ask_for_change()
        self._note_time()
        self._pace.end()
        samples, missing = self._of_lost_gpu(gone) if gone else self._newest()
        return DeviceSnapshot(
            gpu=self.device.gpu,
            taken=self._pace.now,
            taken_at=self._pacing.clock.time(),
            accumulated_at=self._accumulated_at(),
            expires=self._pace.now + self._pace.life_s(COLLECTION),
            samples=tuple(samples),
            missing=tuple(missing),
            cost=Cost(time.perf_counter() - started, self._calls.spent_s - spent_s, self._calls.count - count),
            gone=gone,
        )

    def _accumulated_at(self) -> float | None:
        """Return since when no value that accumulates has been read, in seconds of the epoch: the oldest one's time."""
        slots = (slot for slot in self._slots if slot.source.accumulates)
        read_at = [slot.read_at for slot in slots if slot.source.period != LAYOUT]  # else it is no longer read
        oldest = min(read_at, default=-math.inf)
        return None if oldest == -math.inf else self._pacing.clock.time() - (self._pace.now - oldest)

    def keep_up(self) -> None:
        """Read between two collections what the driver would have forgotten by the next; nothing is published."""
        for tracker in self._trackers.values():
            tracker.keep_up()
        self._ask_for_change()

    def _ask_for_change(self) -> None:
        changes = [tracker.found_change() for tracker in self._trackers.values()]
        self.is_outdated = self.is_outdated or any(changes)

    def _note_time(self) -> None:
        """See to it that nothing is compared with a reading from before a pause."""
        if self._pace.has_paused():
            self._interrupt()

    def _interrupt(self) -> None:
        for tracker in self._trackers.values():
            tracker.interrupt()
        for slot in self._slots:
            if slot.source.accumulates:
                slot.hurry()  # so that there are pairs again before the next scrape

    def _check_layout(self) -> None:
        """Find the instances whose handles lead elsewhere; what was not supported meanwhile is asked again."""
        displaced = displaced_instances(self._calls, self.device)
        if self._displaced and not displaced:
            for slot in self._slots:
                slot.ask_again()
        self._displaced = displaced
        self.is_outdated = bool(displaced) or is_mig_switched_off(self._calls, self.device)

    def _newest(self) -> tuple[list[Sample], list[Missing]]:
        """Return what all sources said last, but nothing of an instance that is displaced."""
        samples = [sample for slot in self._slots for sample in slot.last.samples]
        missing = [missing for slot in self._slots for missing in slot.last.missing]
        if self._displaced:
            samples = [sample for sample in samples if sample.entity not in self._displaced]
        return samples, missing

    def _read_due(self) -> Reason | None:
        """Read what is due; return why the GPU as a whole answers nothing, if that is so.

        Where nothing that is due answers, the others are asked, too: little may be due, and only that may fail.
        """
        self._calls.begin()
        due: list[Slot] = []
        others: list[Slot] = []
        for slot in self._slots:
            (due if slot.is_due(self._pace.now) else others).append(slot)
        others = [slot for slot in others if not slot.source.has_given_up]
        has_answered, why = self._read_all(due)
        if not has_answered and why in _SILENCE:
            has_answered, gone = self._read_all(others)
            why = gone or why
            for slot in others if not has_answered else ():
                slot.hurry()  # so that all is there at once when the GPU is back
        return None if has_answered else why

    def _read_all(self, slots: list[Slot]) -> tuple[bool, Reason | None]:
        """Read; return whether the GPU has answered, and if not, why it seems to answer nothing."""
        has_answered, silence = False, None
        values: FieldValues | None = None
        for slot in slots:
            if slot.source.ids and values is None:  # once for all, but not before something else tells of a loss
                values = self._field_values([one for each in slots for one in each.source.ids])
            self._read(slot, values or {})
            has_answered = has_answered or (slot.source.speaks_for_gpu and bool(slot.last.samples))
            for missing in slot.last.missing:
                if missing.reason in DEVICE_GONE:
                    slot.hurry()
                    return False, missing.reason
                if missing.reason in _SILENCE:
                    silence = missing.reason
                self._tell(missing)
        return has_answered, silence

    def _take_up_again(self) -> None:
        """Let one source ask again for what was not supported: a driver says so, too, while it is not ready."""
        if self._pace.now < self._next_retry:
            return
        slot = min(self._slots, key=lambda slot: slot.retry)
        if slot.retry <= self._pace.now:
            slot.ask_again()
            slot.retry = math.inf
        self._next_retry = min(slot.retry for slot in self._slots)

    def _field_values(self, ids: list[FieldId]) -> FieldValues:
        """Ask for field values, all in one call."""
        wanted = tuple(dict.fromkeys(ids))
        answers = self._calls.field_values(self.device.handle, wanted)
        if isinstance(answers, Reason):
            return dict.fromkeys(wanted, FieldAnswer(answers))
        return dict(zip(wanted, answers, strict=True))

    def _of_lost_gpu(self, gone: Reason) -> tuple[list[Sample], list[Missing]]:
        self._interrupt()
        missing = Missing(Entity(self.device.gpu), EVERYTHING, gone)
        self._on_missing(missing)
        return self._last_words(self._pace.now + self._pace.life_s(COLLECTION)), [missing]

    def _last_words(self, expires: float) -> list[Sample]:
        """Return what stays true of a GPU that is gone, if anything does, with the texts that are labels."""
        words: list[Sample] = []
        for source in self._tracked:
            words += source.last_words(expires, words)
        texts = [sample for slot in self._slots for sample in slot.last.samples if isinstance(sample.value, str)]
        return words + [text._replace(expires=expires) for text in texts] if words else []

    def _read(self, slot: Slot, values: FieldValues) -> None:
        slot.read(values, self._pace.now, self._pace.now + self._pace.life_s(slot.source.period))
        self._note_time()
        self._next_retry = min(self._next_retry, slot.retry)
        self.is_outdated = self.is_outdated or slot.source.contradicts_itself

    def _tell(self, missing: Missing) -> None:
        if missing.entity in self._displaced:
            return
        if missing.reason is Reason.NOT_SUPPORTED:
            if missing in self._told:
                return
            self._told.add(missing)
        if missing.reason is not Reason.NO_SAMPLE_YET:
            self._on_missing(missing)

    def close(self) -> tuple[Sample, ...]:
        """Give what the trackers hold back to the driver; return what stays true whatever becomes of the GPU."""
        words = self._last_words(math.inf)
        for tracker in self._trackers.values():
            tracker.close()
        return tuple(words)
