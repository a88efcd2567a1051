"""Replays: loads that give what a recording has, field for field at the times of its frames."""

from collections.abc import Iterator
from itertools import pairwise
from statistics import fmean, median

from exporter.errors import ConfigError
from exporter.mock.machine.loads import RATE, RING, UTILIZATION, Load
from exporter.mock.machine.signals import Between, Steps
from exporter.mock.recordings.recording import Recording, Series

LAST_RATES = 10
"""Over how many frames a total's last rate is averaged: a driver may count in larger steps than it is read."""

_TOTALS = (
    "energy_mj",
    "pcie_transmitted_bytes",
    "pcie_received_bytes",
    "nvlink_transmitted_kib",
    "nvlink_received_kib",
    "field.PERF_POLICY_",
    "field.CLOCKS_EVENT_REASON_",
    "field.NVLINK_COUNT_XMIT_",
    "field.NVLINK_COUNT_RCV_BYTES",
    "field.NVLINK_COUNT_RCV_PACKETS",
    "field.NVLINK_COUNT_FEC_HISTORY_",
)
_OF_32_BITS = ("pcie_transmitted_bytes", "pcie_received_bytes")


def is_total(name: str) -> bool:
    """Say whether a quantity grows between two frames, rather than to hold until the next one."""
    return name.startswith(_TOTALS)


def replay_load(recording: Recording, *, repeats: bool) -> Load:
    """Return a load that replays every quantity of a recording.

    Each frame holds until the next one; GPM's means are of the time before their frame; totals grow evenly from frame
    to frame. After the last frame, the recording begins again one frame's length later, or its last frame holds for
    ever. What the recording lacks follows from its GPU utilization.

    Raises:
        ConfigError: The recording has no GPU utilization.
    """
    names = recording.names()
    if UTILIZATION not in names:
        raise ConfigError(f"the recording has no {UTILIZATION}, a load can't be made of it")
    times = [frame.t_s for frame in recording.frames]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    period_s = times[-1] - times[0] + median(gaps) if repeats and gaps else None
    series = {name: _held(recording, name) for name in names}
    series |= {f"{RATE}{name}": rates(recording, name) for name in names if is_total(name)}
    series |= {f"{RING}{name}": _ring(recording, name) for name in {one for f in recording.frames for one in f.rings}}
    signals = {name: _steps(found, times[0], period_s) for name, found in series.items() if found[0]}
    return Load(Between(signals[UTILIZATION], 0.0, 0.01), signals)


def rates(recording: Recording, name: str) -> Series:
    """Return from when on a total grew by how much in a second; empty where it was read less than twice."""
    times, values = recording.series(name)
    grown = [later - earlier for earlier, later in pairwise(values)]
    if name in _OF_32_BITS:
        grown = [growth % 2**32 for growth in grown]
    found = [growth / (later - earlier) for growth, (earlier, later) in zip(grown, pairwise(times), strict=True)]
    return (times, (*found, fmean(found[-LAST_RATES:]))) if found else ((), ())


def _held(recording: Recording, name: str) -> Series:
    times, values = recording.series(name)
    return (tuple(_starts(recording, times)), values) if name.startswith("gpm.") else (times, values)


def _starts(recording: Recording, ends: tuple[float, ...]) -> Iterator[float]:
    """Yield the time of the frame before each of some frames; for the first frame its own."""
    times = [frame.t_s for frame in recording.frames]
    before = dict(zip(times, (times[0], *times), strict=False))
    return (before[end] for end in ends)


def _ring(recording: Recording, name: str) -> Series:
    """Return from when on each sample of a ring holds: from the end of the one before."""
    ends, means = recording.ring(name)
    return ((recording.frames[0].t_s, *ends[:-1]), means) if ends else ((), ())


def _steps(series: Series, first_s: float, period_s: float | None) -> Steps:
    times, values = series
    return Steps((0.0, *(t_s - first_s for t_s in times[1:])), values, period_s)
