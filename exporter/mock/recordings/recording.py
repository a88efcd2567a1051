"""Recordings: what a GPU answered over time. Data only; this module knows nothing of files, NVML or scenarios."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

Series = tuple[tuple[float, ...], tuple[float, ...]]
"""Times in seconds, and as many values."""


@dataclass(frozen=True, slots=True)
class CallCost:
    """What one call took, in microseconds: in all, and what of that the CPU worked."""

    us: float
    cpu_us: float


@dataclass(frozen=True, slots=True)
class Frame:
    """What was read at one moment.

    `t_s` is seconds from the recording's own zero; `values` are finite numbers by quantity. `rings` are the samples
    that a driver took by itself since the frame before, by quantity: when each ended, and its mean.
    """

    t_s: float
    values: Mapping[str, float]
    rings: Mapping[str, tuple[tuple[float, float], ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Recording:
    """Frames of one GPU, oldest first and never empty, and the machine that they come from.

    `recorded_on` is an ISO date, `about` a sentence on what the GPU was doing. `texts` are what it answered in words,
    `costs` what a call of each of NVML's functions, or a field value, took.
    """

    model: str
    driver: str
    recorded_on: str
    about: str
    frames: tuple[Frame, ...]
    texts: Mapping[str, str] = field(default_factory=dict)
    costs: Mapping[str, CallCost] = field(default_factory=dict)

    def names(self) -> frozenset[str]:
        """Return every quantity that at least one frame has."""
        return frozenset(name for frame in self.frames for name in frame.values)

    def series(self, name: str) -> Series:
        """Return the times at which a quantity has a value, and those values; both empty for an unknown name."""
        held = [(frame.t_s, frame.values[name]) for frame in self.frames if name in frame.values]
        return tuple(t_s for t_s, _ in held), tuple(value for _, value in held)

    def ring(self, name: str) -> Series:
        """Return when the samples of a quantity's ring ended, and their means; both empty if none were recorded."""
        held = [sample for frame in self.frames for sample in frame.rings.get(name, ())]
        return tuple(t_s for t_s, _ in held), tuple(value for _, value in held)

    def mean(self, name: str) -> float:
        """Return a quantity's mean over the frames that have it.

        Raises:
            KeyError: No frame has it.
        """
        _, values = self.series(name)
        if not values:
            raise KeyError(name)
        return math.fsum(values) / len(values)
