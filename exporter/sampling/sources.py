"""A plan bound to one device: each source makes its NVML calls when it is due and turns answers into samples."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from exporter.catalogue.reading import COLLECTION, LAYOUT, Call, Field, FieldValue, Scope, Tracked
from exporter.catalogue.units import checked
from exporter.model import Entity, Missing, Reason, Sample, Value
from exporter.nvml.calls import Calls
from exporter.nvml.entities import Device
from exporter.sampling.plan import Plan
from exporter.sampling.trackers.tracker import DeviceTracker, Observation


@dataclass(slots=True)
class Outcome:
    """What one reading of a source gave, and what it did not."""

    samples: list[Sample] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)

    def add(self, answer: Observation, expires: float) -> None:
        """Turn one answer into a sample, or the reason for none, of each field of its reading."""
        reading, entity, found, holder = answer
        for wanted in reading.fields:
            value = found if isinstance(found, Reason) else _value(wanted, found)
            if isinstance(value, Reason):
                self.missing.append(Missing(entity, wanted.name, value))
            else:
                labels = wanted.labels(found) if wanted.labels else ()
                self.samples.append(Sample(entity, wanted.name, value, expires, labels, holder))


def _value(wanted: Field, answer: Any) -> Value | Reason:
    value = wanted.convert(answer)
    return value if isinstance(value, Reason) else checked(wanted.name, value)


class Source(Protocol):
    """Something that is read every `period` seconds. What is not supported is not asked again."""

    period: float

    def read(self, expires: float) -> Outcome:
        """Read the device; samples are good until `expires`, monotonic seconds."""


def bind(plan: Plan, device: Device, calls: Calls) -> Iterator[Source]:
    """Make the sources of a device, but for its trackers, in the plan's order."""
    entities = tuple(target.entity for target in device.targets)
    for call in plan.calls:
        match call.scope:
            case Scope.SYSTEM:
                yield CallSource(calls, call, call.args, entities)
            case Scope.GPU:
                yield CallSource(calls, call, (device.handle, *call.args), entities)
            case Scope.INSTANCE:
                for target in device.targets:
                    yield CallSource(calls, call, (target.handle, *call.args), (target.entity,))
    for period in sorted({value.period for value in plan.field_values}):
        of_period = tuple(value for value in plan.field_values if value.period == period)
        yield FieldValueSource(calls, of_period, device.handle, entities)


class CallSource:
    """One NVML call with its arguments."""

    def __init__(self, calls: Calls, call: Call, args: tuple[Any, ...], entities: tuple[Entity, ...]) -> None:
        self.period = call.period
        self._calls = calls
        self._call = call
        self._args = args
        self._entities = entities

    def read(self, expires: float) -> Outcome:
        """Make the call."""
        answer = self._calls(self._call.function, *self._args)
        if answer is Reason.NOT_SUPPORTED:
            self.period = LAYOUT
        outcome = Outcome()
        for entity in self._entities:
            outcome.add(Observation(self._call, entity, answer), expires)
        return outcome


class FieldValueSource:
    """All field values of one period in one call."""

    def __init__(self, calls: Calls, values: tuple[FieldValue, ...], handle: Any, entities: tuple[Entity, ...]) -> None:
        self.period = values[0].period
        self._calls = calls
        self._values = values
        self._handle = handle
        self._entities = entities
        self._unsupported: list[Missing] = []

    def read(self, expires: float) -> Outcome:
        """Make the call."""
        outcome = Outcome(missing=list(self._unsupported))
        ids = tuple((value.field_id, value.scope_id) for value in self._values)
        answers = self._calls.field_values(self._handle, ids)
        if isinstance(answers, Reason):
            answers = [(answers, 0)] * len(ids)
        supported: list[FieldValue] = []
        for value, (answer, _) in zip(self._values, answers, strict=True):
            for entity in self._entities:
                outcome.add(Observation(value, entity, answer), expires)
            if answer is not Reason.NOT_SUPPORTED:
                supported.append(value)
        if len(supported) < len(self._values):
            self._values = tuple(supported)
            self._unsupported = [missing for missing in outcome.missing if missing.reason is Reason.NOT_SUPPORTED]
            if not supported:
                self.period = LAYOUT
        return outcome


class TrackerSource:
    """A tracker with the readings that are asked of it; a reading is given up when no entity supports it."""

    def __init__(self, tracker: DeviceTracker, readings: tuple[Tracked, ...]) -> None:
        self.period = COLLECTION
        self._tracker = tracker
        self._readings = readings
        self._unsupported: list[Missing] = []

    def read(self, expires: float) -> Outcome:
        """Let the tracker read."""
        outcome = Outcome(missing=list(self._unsupported))
        supported: set[str] = set()
        unsupported: set[str] = set()
        for answer in self._tracker.collect(self._readings):
            outcome.add(answer, expires)
            names = unsupported if answer.answer is Reason.NOT_SUPPORTED else supported
            names.add(answer.reading.fields[0].name)
        if unsupported - supported:
            self._give_up(unsupported - supported, outcome.missing)
        return outcome

    def last_words(self, expires: float) -> list[Sample]:
        """Let the tracker say what stays true of a GPU that is gone."""
        outcome = Outcome()
        for observation in self._tracker.last_words(self._readings):
            outcome.add(observation, expires)
        return outcome.samples

    def _give_up(self, names: set[str], missing: list[Missing]) -> None:
        """Ask no more for the readings whose first fields have these names."""
        given_up = [reading for reading in self._readings if reading.fields[0].name in names]
        fields = {field.name for reading in given_up for field in reading.fields}
        self._unsupported += [one for one in missing if one.field in fields]
        self._readings = tuple(reading for reading in self._readings if reading.fields[0].name not in names)
        if not self._readings:
            self.period = LAYOUT
