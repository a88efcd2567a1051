"""Loads: how busy a GPU is over time, and what a replayed recording says beside that."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

from exporter.errors import ConfigError
from exporter.mock.machine.signals import Between, Constant, Signal, Steps
from exporter.mock.recordings.recording import Recording

UTILIZATION = "gpu_utilization_percent"


@dataclass(frozen=True, slots=True)
class Load:
    """What drives a GPU or a MIG instance.

    `activity` goes from 0 (idle) to 1 (fully busy). `recorded` are quantities that do not follow from the activity
    but are replayed as they were. `demands` are names of the demands that decide instead, while the mock runs.
    """

    activity: Signal
    recorded: Mapping[str, Signal] = field(default_factory=dict)
    demands: frozenset[str] = frozenset()


def constant_load(percent: float) -> Load:
    """Return a load that never changes."""
    return Load(Constant(percent / 100))


def demand_load(demands: Iterable[str]) -> Load:
    """Return a load that follows the parts of demands that the holders of the device take; idle until then."""
    return Load(Constant(0.0), demands=frozenset(demands))


def replay_load(recording: Recording, *, repeats: bool) -> Load:
    """Return a load that replays every quantity of a recording.

    Each frame holds until the next one. After the last, the recording begins again one frame's length later, or its
    last frame holds for ever. What the recording lacks follows from its GPU utilization.

    Raises:
        ConfigError: The recording has no GPU utilization.
    """
    if UTILIZATION not in recording.names():
        raise ConfigError(f"the recording has no {UTILIZATION}, a load can't be made of it")
    times = [frame.t_s for frame in recording.frames]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    period_s = times[-1] - times[0] + median(gaps) if repeats and gaps else None
    series = {name: _steps(recording, name, period_s) for name in recording.names()}
    return Load(Between(series[UTILIZATION], 0.0, 0.01), series)


def _steps(recording: Recording, name: str, period_s: float | None) -> Steps:
    times, values = recording.series(name)
    first_s = recording.frames[0].t_s
    return Steps((0.0, *(t_s - first_s for t_s in times[1:])), values, period_s)
