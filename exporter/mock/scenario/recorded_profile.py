"""Models from recordings: what `gpu-metrics-exporter record` wrote says all that a profile needs."""

from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import median

from exporter.errors import RecordingError
from exporter.mock.machine.loads import UTILIZATION
from exporter.mock.machine.profile import NvLink, Profile, Span, Total
from exporter.mock.machine.quantities import STATES
from exporter.mock.machine.replay import is_total, rates
from exporter.mock.recordings.recording import Recording
from exporter.mock.scenario.value_groups import ValueGroups

NEAR_PERCENT = 5
"""Frames whose utilization is that near to the least or the greatest one tell what the GPU answers idle and busy."""

_OF_THE_WHOLE = frozenset({
    "memory_total_bytes",
    "memory_reserved_bytes",
    "pci_device_id",
    "pci_subsystem_id",
    "nvlinks",
    "mig_mode",
    "cuda_driver_version",
})  # fmt: skip
"""What a profile has beside its quantities."""


def recorded_profile(recording: Recording, name: str) -> Profile:
    """Return the model that a recording is of, under a name of its own.

    Raises:
        RecordingError: It lacks what tells how large the GPU is: only `record` writes that.
    """
    first = recording.frames[0].values
    lacking = sorted({UTILIZATION, "memory_used_bytes", "memory_total_bytes", "pci_device_id"} - first.keys())
    if lacking:
        raise RecordingError(f"{name}: record 2: {lacking[0]}: is absent, a GPU can't be made of the recording")
    values = recorded_values(recording)
    links = int(first.get("nvlinks", 0))
    carried = {way: _carried(values, f"nvlink_{way}_kib", links) for way in ("transmitted", "received")}
    return Profile(
        name=name,
        model=recording.model,
        quantities=values.spans,
        totals=values.totals,
        texts=recording.texts,
        memory_total_bytes=int(first["memory_total_bytes"]),
        memory_reserved_bytes=int(first.get("memory_reserved_bytes", 0)),
        averages_power="power_average_mw" in values.spans,
        pci_device_id=int(first["pci_device_id"]),
        pci_subsystem_id=int(first.get("pci_subsystem_id", 0)),
        pci_buses=(),
        nvlink=NvLink(links, carried["transmitted"], carried["received"], is_default=True) if links else None,
        mig={},
        has_mig="mig_mode" in first,
        not_supported={},
        driver=recording.driver,
        cuda_version=int(first.get("cuda_driver_version", 0)),
        costs=recording.costs,
    )


def recorded_values(recording: Recording) -> ValueGroups:
    """Return what a recorded GPU answers idle and busy, and what grows."""
    percents = _filled(recording, UTILIZATION)
    idle = [at for at, percent in enumerate(percents) if percent <= min(percents) + NEAR_PERCENT]
    busy = [at for at, percent in enumerate(percents) if percent >= max(percents) - NEAR_PERCENT]
    values = ValueGroups()
    for name in recording.names() - _OF_THE_WHOLE:
        if is_total(name) and rates(recording, name)[0]:
            grown = _filled_rates(recording, name)
            first = recording.series(name)[1][0]
            values.totals[name] = Total(first, Span(_middle(grown, idle), _middle(grown, busy)))
        held = _filled(recording, name)
        choose = _usual if name in STATES else _middle
        values.spans[name] = Span(choose(held, idle), choose(held, busy))
    return values


def _filled(recording: Recording, name: str) -> list[float]:
    """Return a quantity's value at each frame; what a frame does not say is as it was."""
    _, values = recording.series(name)
    filled = [values[0]]
    for frame in recording.frames:
        filled.append(frame.values.get(name, filled[-1]))
    return filled[1:]


def _filled_rates(recording: Recording, name: str) -> list[float]:
    times, grown = rates(recording, name)
    by_time = dict(zip(times, grown, strict=True))
    filled = [grown[0]]
    for frame in recording.frames:
        filled.append(by_time.get(frame.t_s, filled[-1]))
    return filled[1:]


def _middle(values: Sequence[float], at: Iterable[int]) -> float:
    return max(median(values[one] for one in at), 0.0)


def _usual(values: Sequence[float], at: Iterable[int]) -> float:
    return Counter(values[one] for one in at).most_common(1)[0][0]


def _carried(values: ValueGroups, name: str, links: int) -> Span:
    """Return what all links together carry in a second."""
    spans = [values.totals[f"{name}.{link}"].rate for link in range(links) if f"{name}.{link}" in values.totals]
    return Span(sum(span.idle for span in spans), sum(span.busy for span in spans))
