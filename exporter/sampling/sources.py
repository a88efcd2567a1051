"""A plan bound to one device: each source is read when it is due and turns NVML's answers into samples."""

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from exporter.catalogue.reading import LAYOUT, LINKS, Call, Field, FieldValue, Reading, Scope, Tracked
from exporter.catalogue.units import checked, number_of
from exporter.model import Entity, Labels, Missing, Reason, Sample, Value
from exporter.nvml.calls import Calls, FieldId
from exporter.nvml.entities import Device
from exporter.sampling.plan import Plan
from exporter.sampling.trackers.tracker import DeviceTracker, FieldValues, Observation

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Outcome:
    """What one reading of a source gave, and what it did not."""

    samples: list[Sample] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)

    def add(self, answer: Observation, expires: float) -> None:
        """Turn one answer into a sample, or the reason for none, of each field of its reading."""
        reading, entity, found, until, because = answer
        for wanted in reading.fields:
            value, labels = (found, ()) if isinstance(found, Reason) else _value_and_labels(wanted, found)
            if isinstance(value, Reason):
                self.missing.append(Missing(entity, wanted.name, value, because))
            else:
                self.samples.append(Sample(entity, wanted.name, value, min(expires, until), labels))


def _value_and_labels(wanted: Field, answer: Any) -> tuple[Value | Reason, Labels]:
    try:
        value = wanted.convert(answer)
        labels = wanted.labels(answer) if wanted.labels and not isinstance(value, Reason) else ()
    except Exception as error:  # noqa: BLE001 - an answer of another shape than promised costs this field alone
        log.debug("%s: %r", wanted.name, error)
        return Reason.UNREADABLE, ()
    return value if isinstance(value, Reason) else checked(wanted.name, value), labels


Newest = Callable[[], tuple[list[Sample], list[Missing]]]
"""Returns what all sources said last."""


class Source(Protocol):
    """Something that is read every `period` seconds.

    Attributes:
        period: Seconds, or LAYOUT. What has been given up is not read again.
        accumulates: Whether it loses nothing when it is read seldom; then its period is the longest one.
        fields: The names of the fields that it answers.
        ids: The field values that it needs; the device is asked for those of all sources in one call.
        has_given_up: Whether something is no longer read, because NVML does not support it.
        contradicts_itself: Whether NVML said so of what it answered before, as it does when a MIG instance's handle
            has become void. Then that is asked again.
        is_waiting: Whether it needs one reading more before it has a value, whatever its period is.
        speaks_for_gpu: Whether an answer shows that the GPU itself answers.
    """

    period: float
    accumulates: bool
    fields: frozenset[str]
    ids: tuple[FieldId, ...]
    has_given_up: bool
    is_waiting: bool
    contradicts_itself: bool
    speaks_for_gpu: bool

    def read(self, values: FieldValues, expires: float) -> Outcome:
        """Read the device; samples are good until `expires`, monotonic seconds."""

    def ask_again(self) -> None:
        """Take up again what has been given up."""

    def begin_span(self, fields: frozenset[str]) -> None:  # noqa: ARG002  (by default, nothing is a mean)
        """Let the means of some fields begin where the last answers end, for somebody has those."""
        return


def _names(readings: Iterable[Reading]) -> frozenset[str]:
    return frozenset(field.name for reading in readings for field in reading.fields)


def bind(plan: Plan, device: Device, calls: Calls) -> Iterator[Source]:
    """Make the sources of a device, but for its trackers, in the plan's order."""
    whole = tuple(target.entity for target in device.targets)
    for call in plan.calls:
        for prefixes, entities in _asked(call.scope, device, whole):
            yield CallSource(calls, call, prefixes, entities)
    for value in plan.field_values:
        if value.scope is Scope.LINK:
            for link in LINKS:
                yield FieldValueSource(value, (value.field_id, link), (Entity(device.gpu, link=link),))
        else:
            yield FieldValueSource(value, (value.field_id, value.scope_id), whole)


def _asked(
    scope: Scope, device: Device, whole: tuple[Entity, ...]
) -> Iterator[tuple[list[tuple[Any, ...]], tuple[Entity, ...]]]:
    """Yield for each answer the first arguments of the calls that it takes, and the entities that it is about."""
    match scope:
        case Scope.SYSTEM:
            yield [()], whole
        case Scope.PROCESS:
            yield [(os.getpid(),)], whole
        case Scope.GPU:
            yield [(device.handle,)], whole
        case Scope.INSTANCE:
            for target in device.targets:
                yield [(target.handle,)], (target.entity,)
        case Scope.LINK:
            for link in LINKS:
                yield [(device.handle, link)], (Entity(device.gpu, link=link),)
        case Scope.ALL_LINKS:
            yield [(device.handle, link) for link in LINKS], whole


class CallSource(Source):
    """One NVML call; with several lists of first arguments, the sum of what the calls answer."""

    is_waiting = False
    ids: tuple[FieldId, ...] = ()

    def __init__(self, calls: Calls, call: Call, prefixes: list[tuple[Any, ...]], entities: tuple[Entity, ...]) -> None:
        self.period = call.period
        self.accumulates = call.accumulates
        self.fields = _names((call,))
        self.has_given_up = False
        self.contradicts_itself = False
        self.speaks_for_gpu = call.scope not in {Scope.SYSTEM, Scope.PROCESS}
        self._calls = calls
        self._call = call
        self._versions = call.versions
        self._prefixes = prefixes
        self._entities = entities
        self._has_answered = False

    def read(self, _values: FieldValues, expires: float) -> Outcome:
        """Make the call."""
        answer = self._answer()
        self.contradicts_itself = answer is Reason.NOT_SUPPORTED and self._has_answered
        if answer is not Reason.NOT_SUPPORTED:
            self._has_answered = self._has_answered or not isinstance(answer, Reason)
        elif not self._has_answered:
            self.has_given_up, self.period = True, LAYOUT
        elif not any(entity.instance for entity in self._entities):
            self._has_answered = False  # once more, and then it is believed
        outcome = Outcome()
        for entity in self._entities:
            outcome.add(Observation(self._call, entity, answer), expires)
        return outcome

    def _answer(self) -> Any | Reason:
        answers: list[Any] = [self._ask(prefix) for prefix in self._prefixes]
        if len(answers) == 1:
            return answers[0]
        answers = [answer if isinstance(answer, Reason) else number_of(answer) for answer in answers]
        supported = [answer for answer in answers if answer is not Reason.NOT_SUPPORTED]
        failed = [answer for answer in supported if isinstance(answer, Reason)]
        if failed or not supported:
            return failed[0] if failed else Reason.NOT_SUPPORTED
        return sum(supported)

    def _ask(self, prefix: tuple[Any, ...]) -> Any | Reason:
        call = self._call
        if call.fills:
            return self._calls.fill(call.function, call.fills, *prefix, *call.args)
        if call.older:
            return self._calls.newest(self._versions, *prefix)
        return self._calls.once(call.function, *prefix, *call.args, errors=call.errors)  # links and their sum share it

    def ask_again(self) -> None:
        """Make the call again."""
        self.has_given_up, self.period = False, self._call.period


class FieldValueSource(Source):
    """One field value of a device or a link."""

    contradicts_itself = False
    speaks_for_gpu = True
    is_waiting = False

    def __init__(self, value: FieldValue, field_id: FieldId, entities: tuple[Entity, ...]) -> None:
        self.period = value.period
        self.accumulates = value.accumulates
        self.fields = _names((value,))
        self.ids: tuple[FieldId, ...] = (field_id,)
        self.has_given_up = False
        self._value = value
        self._entities = entities

    def read(self, values: FieldValues, expires: float) -> Outcome:
        """Take the answer."""
        answer = values[self.ids[0]].value
        if answer is Reason.NOT_SUPPORTED:
            self.has_given_up, self.period = True, LAYOUT
        outcome = Outcome()
        for entity in self._entities:
            outcome.add(Observation(self._value, entity, answer), expires)
        return outcome

    def ask_again(self) -> None:
        """Ask for the value again."""
        self.has_given_up, self.period = False, self._value.period


class TrackerSource(Source):
    """A tracker with the readings of one pace; a reading is given up when no entity supports it."""

    contradicts_itself = False

    def __init__(self, tracker: DeviceTracker, readings: tuple[Tracked, ...], newest: Newest) -> None:
        self._is_derived = any(reading.inputs for reading in readings)
        self.speaks_for_gpu = not tracker.outlives_gpu and not self._is_derived
        self.accumulates = all(reading.accumulates for reading in readings)
        self.fields = _names(readings)
        self._tracker = tracker
        self._all = readings
        self._newest = newest
        self.is_waiting = False
        self.ask_again()

    def ask_again(self) -> None:
        """Let the tracker answer everything."""
        self._ask_for(self._all)
        self._unsupported: list[Missing] = []

    def _ask_for(self, readings: tuple[Tracked, ...]) -> None:
        self._readings = readings
        self.period = readings[0].period if readings else LAYOUT
        self.ids = self._tracker.needs(readings)
        self.has_given_up = readings != self._all

    def read(self, values: FieldValues, expires: float) -> Outcome:
        """Let the tracker read."""
        if self._is_derived:
            self._tracker.review(*self._newest())
        outcome = Outcome(missing=list(self._unsupported))
        supported: set[str] = set()
        unsupported: set[str] = set()
        for answer in self._tracker.collect(self._readings, values):
            outcome.add(answer, expires)
            names = unsupported if answer.answer is Reason.NOT_SUPPORTED else supported
            names.add(answer.reading.fields[0].name)
        self.is_waiting = not outcome.samples and any(m.reason is Reason.NO_SAMPLE_YET for m in outcome.missing)
        if unsupported - supported:
            self._give_up(unsupported - supported, outcome.missing)
        return outcome

    def begin_span(self, fields: frozenset[str]) -> None:
        """Let the tracker's means begin behind its last answers."""
        self._tracker.begin_span(
            tuple(one for one in self._readings if any(field.name in fields for field in one.fields))
        )

    def last_words(self, expires: float, said: list[Sample]) -> list[Sample]:
        """Let the tracker say what stays true of a GPU that is gone; `said` is what those before it have said."""
        if self._is_derived:
            self._tracker.review(said, ())
        outcome = Outcome()
        for observation in self._tracker.last_words(self._readings):
            outcome.add(observation, expires)
        return outcome.samples

    def _give_up(self, names: set[str], missing: list[Missing]) -> None:
        """Stop reading the readings whose first fields have these names."""
        given_up = [reading for reading in self._readings if reading.fields[0].name in names]
        fields = {field.name for reading in given_up for field in reading.fields}
        self._unsupported += [one for one in missing if one.field in fields]
        self._ask_for(tuple(reading for reading in self._readings if reading.fields[0].name not in names))
