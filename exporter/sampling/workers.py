"""The workers of all GPUs: one each, replaced when its GPU's layout changes, left alone while a call hangs."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from exporter.model import Clock, Condition, Entity, GpuState, Missing, Reason
from exporter.nvml.calls import Calls
from exporter.nvml.entities import Device
from exporter.sampling.failures import EVERYTHING, Failures
from exporter.sampling.plan import Plan
from exporter.sampling.sampler import Sampler
from exporter.sampling.worker import Rhythm, Worker

log = logging.getLogger(__name__)

HANDOVER_S = 0.1
"""How long a worker that is replaced may take to finish its collection, before that waits for the next scan."""


@dataclass(frozen=True, slots=True)
class _Crew:
    """All selected GPUs: those with a worker, and those that have none because they do not say who they are."""

    workers: Mapping[int, Worker] = field(default_factory=dict)
    unidentified: Mapping[int, GpuState] = field(default_factory=dict)


class Workers:
    """One worker a GPU, never two. Changed by the supervisor's thread alone; any thread may ask for the states."""

    def __init__(
        self, library: Any, clock: Clock, interval_s: float, plan: Callable[[], Plan], failures: Failures
    ) -> None:
        """Make none yet; every worker asks for the plan before each collection."""
        self._library = library
        self._clock = clock
        self._interval_s = interval_s
        self._plan = plan
        self._failures = failures
        self._crew = _Crew()
        self._reported: Mapping[int, Condition] = {}

    def states(self) -> tuple[GpuState, ...]:
        """Return every selected GPU's state in NVML's order. Makes no NVML call."""
        crew, now = self._crew, self._clock.monotonic()
        states = dict(crew.unidentified)
        for index, worker in crew.workers.items():
            device = worker.device
            entities = tuple(target.entity for target in device.targets)
            states[index] = GpuState(index, device.gpu, _condition(worker, now), worker.snapshot, entities)
        return tuple(state for _, state in sorted(states.items()))

    def indices(self) -> frozenset[int]:
        """Return the indices of the GPUs that have a worker."""
        return frozenset(self._crew.workers)

    def hanging(self) -> frozenset[int]:
        """Return the indices of the GPUs that must not be asked anything, as a call on them does not return."""
        now = self._clock.monotonic()
        return frozenset(i for i, worker in self._crew.workers.items() if worker.is_stopping or worker.is_late(now))

    def want_look(self) -> bool:
        """Say whether the layout of some GPU has changed since it was looked at; asked once for each change."""
        wanting = [worker for worker in self._crew.workers.values() if worker.wants_look()]
        return bool(wanting)

    def report(self) -> None:
        """Say in the log which GPUs have begun to hang or are lost, and which of them answer again."""
        now = self._clock.monotonic()
        conditions = {index: _condition(worker, now) for index, worker in self._crew.workers.items()}
        for index, condition in conditions.items():
            before = self._reported.get(index)
            if condition is Condition.HANGING and before is not condition:
                log.error("GPU %d: an NVML call does not return; its series end, the other GPUs go on", index)
                self._failures(Missing(Entity(self._crew.workers[index].device.gpu), EVERYTHING, Reason.TIMEOUT))
            elif condition is Condition.LOST and before is not condition:
                snapshot = self._crew.workers[index].snapshot
                log.error("GPU %d answers nothing any more: %s", index, snapshot and snapshot.gone)
            elif condition is Condition.SAMPLED and before in {Condition.HANGING, Condition.LOST}:
                log.info("GPU %d answers again", index)
        self._reported = conditions

    def all_lost(self) -> bool:
        """Say whether there are GPUs, and every one is lost."""
        states = self.states()
        return bool(states) and all(state.condition is Condition.LOST for state in states)

    def any_sampled(self) -> bool:
        """Say whether some GPU is sampled as it should be."""
        return any(state.condition is Condition.SAMPLED for state in self.states())

    def replace(self, devices: Mapping[int, Device], unidentified: Mapping[int, Reason]) -> None:
        """Keep the workers of unchanged devices, start those of new or changed ones, end the others.

        Args:
            devices: What is to be sampled, by index.
            unidentified: The other selected GPUs, and why they do not say who they are.
        """
        names = {state.index: state.gpu for state in self.states()}
        workers = {index: w for index, w in self._crew.workers.items() if self._stays(w, devices.get(index))}
        places = sorted({*devices, *unidentified})
        for index in sorted(devices.keys() - workers.keys()):
            workers[index] = self._start(devices[index], phase_s=self._interval_s * places.index(index) / len(places))
        states = {
            i: GpuState(i, names.get(i), _condition_without_identity(unidentified[i]), None)
            for i in unidentified.keys() - workers
        }
        for index, state in states.items():
            if state.condition is not Condition.STARTING and state != self._crew.unidentified.get(index):
                log.error("GPU %d does not answer: %s", index, unidentified[index])
        self._crew = _Crew(workers, states)

    def _start(self, device: Device, phase_s: float) -> Worker:
        gpu, targets = device.gpu, device.targets
        instances = "" if targets[0].entity.instance is None else f", {len(targets)} MIG instances"
        log.info("GPU %d is sampled: %s, %s%s", gpu.index, gpu.model, gpu.uuid, instances)
        sampler = Sampler(device, Calls(self._library), self._clock, self._interval_s, self._failures)
        return Worker(sampler, self._plan, Rhythm(self._interval_s, phase_s), self._clock)

    def _stays(self, worker: Worker, wanted: Device | None) -> bool:
        """Say whether a worker keeps its place; one that is in a call does, until that returns."""
        if worker.device == wanted and not worker.is_stopping:
            return True
        worker.stop()
        return not worker.ended(HANDOVER_S)

    def end(self, within_s: float) -> bool:
        """Stop all workers; their GPUs count as lost until something is known of them again.

        Returns:
            False if a thread is still in a call after `within_s` seconds; then NVML must not be ended.
        """
        deadline = time.monotonic() + within_s
        for worker in self._crew.workers.values():
            worker.stop()
        in_a_call = {i: w for i, w in self._crew.workers.items() if not w.ended(max(0.0, deadline - time.monotonic()))}
        lost = {s.index: GpuState(s.index, s.gpu, Condition.LOST, None) for s in self.states()}
        self._crew = _Crew(in_a_call, {index: lost[index] for index in lost.keys() - in_a_call})
        return not in_a_call


def _condition(worker: Worker, now: float) -> Condition:
    if worker.is_late(now):
        return Condition.HANGING
    if worker.snapshot is None:
        return Condition.STARTING
    return Condition.LOST if worker.snapshot.gone else Condition.SAMPLED


def _condition_without_identity(reason: Reason) -> Condition:
    """Return the condition of a GPU that does not say who it is."""
    return {Reason.NO_SAMPLE_YET: Condition.STARTING, Reason.TIMEOUT: Condition.HANGING}.get(reason, Condition.LOST)
