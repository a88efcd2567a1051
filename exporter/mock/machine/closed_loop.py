"""The closed loop: pods that hold GPUs share a demand, so each GPU is less busy the more of them there are."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import fsum

from exporter.mock.machine.demands import Demand, Holders, PodName
from exporter.mock.machine.device import MockGpu
from exporter.mock.machine.drive import Drive
from exporter.mock.machine.placement import COMPUTE_SLICES


@dataclass(frozen=True, slots=True)
class Place:
    """A GPU or GPU instance that demands can drive, its size in GPUs, and the sizes of its devices by UUID."""

    drive: Drive
    size: float
    devices: Mapping[str, float]

    def held(self, demand: Demand, holders: Holders) -> float:
        """Return how much of it, in GPUs, the demand's pods hold; pods that share a device have equal parts of it."""
        return fsum(size * _part(demand, holders.get(uuid, frozenset())) for uuid, size in self.devices.items())


def _part(demand: Demand, pods: frozenset[PodName]) -> float:
    return sum(map(demand.is_for, pods)) / len(pods) if pods else 0.0


def levels(places: Sequence[Place], demands: Mapping[str, Demand], holders: Holders) -> list[float]:
    """Return how busy the demands keep each place, from 0 to 1.

    A demand is spread evenly over what its pods hold of the places that follow it, and no further than that is.
    """
    busy = [0.0] * len(places)
    for name, demand in demands.items():
        held = [place.held(demand, holders) if name in place.drive.demands else 0.0 for place in places]
        total = fsum(held)
        if total:
            intensity = min(1.0, demand.gpus / total)
            busy = [b + intensity * h / place.size for b, h, place in zip(busy, held, places, strict=True)]
    return [min(1.0, b) for b in busy]


class ClosedLoop:
    """Drives the places that follow demands. Changes must come one at a time, in the order of their times."""

    def __init__(self, gpus: Iterable[MockGpu], demands: Mapping[str, Demand]) -> None:
        self.demands = demands
        self._places = tuple(place for gpu in gpus for place in _places(gpu) if place.drive.demands)
        self._seen: object = None

    @property
    def drives_nothing(self) -> bool:
        """Whether no load follows any demand."""
        return not self._places

    def set_demand(self, name: str, gpus: float) -> None:
        """Let a demand be so many GPUs' worth, from the next update on."""
        self.demands = {**self.demands, name: replace(self.demands[name], gpus=gpus)}

    def update(self, holders: Holders, at: float) -> None:
        """Let the loads follow what has changed in holders, demands and forced levels, if anything has."""
        places = [place for place in self._places if not place.drive.is_forced]
        seen = (dict(holders), self.demands, places)
        if seen == self._seen:
            return
        self._seen = seen
        for place, level in zip(places, levels(places, self.demands, holders), strict=True):
            place.drive.serve(level, at, period_s=self._period_s(place, holders))

    def _period_s(self, place: Place, holders: Holders) -> float:
        """Return the longest period of the demands that are done there."""
        found = (demand for name, demand in self.demands.items() if name in place.drive.demands)
        return max((demand.period_s for demand in found if place.held(demand, holders)), default=0.0)


def _places(gpu: MockGpu) -> Iterable[Place]:
    if not gpu.is_divided:
        return (Place(gpu.drive, 1.0, {gpu.uuid: 1.0}),)
    by_id = {instance.gpu_instance_id: instance for instance in gpu.instances}
    return tuple(
        Place(
            drive=instance.drive,
            size=instance.profile.slices / COMPUTE_SLICES,
            devices={
                part.uuid: part.compute_slices / COMPUTE_SLICES for part in gpu.instances if part.gpu_instance_id == gi
            },
        )
        for gi, instance in by_id.items()
    )
