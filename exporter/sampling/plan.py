"""From the fields that are asked for to the fewest NVML calls that answer them."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from exporter.catalogue.reading import UNHURRIED, Call, Field, FieldValue, Reading, Tracked, Tracker

R = TypeVar("R", Call, FieldValue)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to read from every device. Each NVML call is in it once, with all fields that it provides."""

    calls: tuple[Call, ...]
    field_values: tuple[FieldValue, ...]
    tracked: Mapping[Tracker, tuple[Tracked, ...]]


def plan(fields: Collection[str], catalogue: Iterable[Reading]) -> Plan:
    """Choose the readings for a set of fields.

    Args:
        fields: Canonical field names, as counters.Counter has them.
        catalogue: All readings to choose from.

    Returns:
        The chosen readings, each reduced to the wanted fields; equal calls are merged into one. What others are made
        of is chosen with them, and where nothing else asks for it, not read at each collection.
    """
    catalogue = tuple(catalogue)
    needed = with_inputs(fields, catalogue)
    calls: dict[tuple[object, ...], Call] = {}
    field_values: dict[tuple[object, ...], FieldValue] = {}
    tracked: dict[Tracker, list[Tracked]] = {}
    for reading in catalogue:
        wanted = _wanted(reading, needed)
        if not wanted:
            continue
        period = reading.period if _wanted(reading, fields) else max(reading.period, UNHURRIED)
        match reading:
            case Call():
                call = (reading.function, reading.args, reading.scope)
                calls[call] = _merged(calls.get(call), replace(reading, fields=wanted, period=period))
            case FieldValue():
                value = (reading.field_id, reading.scope_id, reading.scope)
                field_values[value] = _merged(field_values.get(value), replace(reading, fields=wanted, period=period))
            case Tracked():
                tracked.setdefault(reading.tracker, []).append(replace(reading, fields=wanted))
    return Plan(
        tuple(calls.values()),
        tuple(field_values.values()),
        {tracker: tuple(readings) for tracker, readings in tracked.items()},
    )


def with_inputs(fields: Collection[str], catalogue: Iterable[Reading]) -> frozenset[str]:
    """Return fields and those that they are made of."""
    return frozenset(fields).union(
        *(one.inputs for one in catalogue if isinstance(one, Tracked) and _wanted(one, fields))
    )


def _wanted(reading: Reading, fields: Collection[str]) -> tuple[Field, ...]:
    return tuple(field for field in reading.fields if field.name in fields)


def _merged(known: R | None, new: R) -> R:
    if known is None:
        return new
    return replace(
        known,
        fields=known.fields + new.fields,
        period=min(known.period, new.period),
        accumulates=known.accumulates and new.accumulates,
    )
