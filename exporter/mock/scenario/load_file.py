"""The loads of a scenario's file: a number, or a mapping with the key `kind`."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from exporter.errors import ConfigError, describe
from exporter.mock.document import Section
from exporter.mock.machine.loads import Load, constant_load, demand_load
from exporter.mock.machine.replay import replay_load
from exporter.mock.machine.signals import Steps, Wave
from exporter.mock.recordings.packaged import packaged_recording
from exporter.mock.recordings.recording import Recording
from exporter.mock.recordings.recording_file import read_recording

_DAY_S = 86400.0


@dataclass(frozen=True, slots=True)
class LoadPlace:
    """Where a load stands: whose it is, in which scenario, where that scenario's file is, and which demands it has.

    `owner` and `seed` decide the phase of a wave that states none, so that GPUs do not swing in step.
    """

    seed: int
    owner: str
    folder: Path | None
    demands: tuple[str, ...] = ()


def parse_load(section: Section, key: str, place: LoadPlace) -> Load:
    """Return the load that a key describes; no load at all for an absent key.

    Raises:
        ConfigError: Names file, key and reason.
    """
    if not section.has(key):
        return constant_load(0)
    value = section.raw(key)
    if isinstance(value, int | float):
        return constant_load(_percent(section, key))
    if not isinstance(value, Mapping):
        raise section.error(key, f"is {describe(value)}; expected a number from 0 to 100 or a mapping with kind")
    load = section.section(key)
    kinds = _kinds()
    parsed = kinds[load.choice("kind", tuple(kinds))](load, place)
    load.finish()
    return parsed


def _kinds() -> dict[str, Callable[[Section, LoadPlace], Load]]:
    return {"constant": _constant, "wave": _wave, "steps": _steps, "replay": parse_replay, "demand": _demand}


def _percent(section: Section, key: str, default: float | None = None) -> float:
    return section.number(key, 0, 100, default)


def _constant(section: Section, _place: LoadPlace) -> Load:
    return constant_load(_percent(section, "percent"))


def _wave(section: Section, place: LoadPlace) -> Load:
    low, high = _percent(section, "low_percent", 0.0), _percent(section, "high_percent", 100.0)
    if low > high:
        raise section.error("low_percent", f"is {low:g}, more than high_percent ({high:g})")
    period_s = section.number("period_s", 0.01, _DAY_S)
    own_phase_s = fraction(place.seed, place.owner) * period_s
    return Load(Wave(low / 100, high / 100, period_s, section.number("phase_s", -_DAY_S, _DAY_S, own_phase_s)))


def _steps(section: Section, _place: LoadPlace) -> Load:
    steps = section.sections("steps")
    if not steps:
        raise section.error("steps", "is empty; expected a list of {for_s: seconds, percent: load}")
    lengths = [step.number("for_s", 0.001, _DAY_S) for step in steps]
    levels = tuple(_percent(step, "percent") / 100 for step in steps)
    for step in steps:
        step.finish()
    *starts, end = accumulate(lengths, initial=0.0)
    return Load(Steps(tuple(starts), levels, end if section.flag("repeat", default=False) else None))


def parse_replay(section: Section, place: LoadPlace) -> Load:
    """Return the load that the keys recording and at_end of a section describe.

    Raises:
        ConfigError: Names file, key and reason.
    """
    recording = named_recording(section, place.folder)
    repeats = section.choice("at_end", ("hold", "repeat"), "hold") == "repeat"
    try:
        return replay_load(recording, repeats=repeats)
    except ConfigError as error:
        raise section.error("recording", str(error)) from error


def named_recording(section: Section, folder: Path | None) -> Recording:
    """Return the recording that the key recording names: one of the package, or a file.

    Raises:
        ConfigError: Names file, key and reason.
    """
    name = section.text("recording")
    path = Path(name)
    is_file = path.suffix in {".jsonl", ".gz"} or len(path.parts) > 1
    try:
        return read_recording((folder or Path()) / path) if is_file else packaged_recording(name)
    except ConfigError as error:
        raise section.error("recording", str(error)) from error


def _demand(section: Section, place: LoadPlace) -> Load:
    if not place.demands:
        raise section.error("kind", "is demand, the scenario has no demands")
    if not section.has("name"):
        return demand_load(place.demands)
    return demand_load((section.choice("name", place.demands),))


def fraction(seed: int, *names: Any) -> float:
    """Return a number from 0 to below 1 that depends on nothing but the seed and the names."""
    text = ":".join(map(str, (seed, *names)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6]) / 2**48
