"""The workers of all GPUs: one each, replaced when its GPU's layout changes, left alone while a call hangs."""

import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from exporter.catalogue.reading import Tracker
from exporter.catalogue.xids import OF_APPLICATIONS
from exporter.model import Condition, DeviceSnapshot, Entity, Gpu, GpuState, Missing, Reason
from exporter.nvml.calls import Calls
from exporter.nvml.entities import Device
from exporter.sampling.failures import EVERYTHING, Failures
from exporter.sampling.pace import Pacing
from exporter.sampling.plan import Plan
from exporter.sampling.sampler import Sampler
from exporter.sampling.trackers.tracker import DeviceTracker
from exporter.sampling.worker import Timetable, Worker

log = logging.getLogger(__name__)

_HARMLESS = frozenset(map(str, {0, *OF_APPLICATIONS}))
"""Codes of Xids after which no GPU is gone."""

HANDOVER_S = 0.1
"""How long a worker that is replaced may take to finish its collection, before that waits for the next scan."""


@dataclass(frozen=True, slots=True)
class _Crew:
    """All selected GPUs: those with a worker by their index, and the others."""

    workers: Mapping[int, Worker] = field(default_factory=dict)
    others: tuple[GpuState, ...] = ()


class Workers:
    """One worker a GPU, never two. Changed by the supervisor's thread alone; any thread may ask for the states."""

    def __init__(
        self, calls: Callable[[], Calls], pacing: Pacing, plan: Callable[[], Plan], failures: Failures
    ) -> None:
        """Make none yet; every worker calls NVML in its own way, and asks for the plan before each collection."""
        self._calls = calls
        self._pacing = pacing
        self._plan = plan
        self._failures = failures
        self._crew = _Crew()
        self._legacies: dict[str, Mapping[Tracker, DeviceTracker]] = {}  # of ended workers, by the GPU's UUID
        self._fresh: dict[str, DeviceSnapshot] = {}  # their last snapshots, likewise
        self._reported: Mapping[int, Condition] = {}

    def states(self) -> tuple[GpuState, ...]:
        """Return every selected GPU's state in NVML's order. Makes no NVML call."""
        crew, now = self._crew, self._pacing.clock.monotonic()
        states = [_state(index, worker, _condition(worker, now)) for index, worker in crew.workers.items()]
        return tuple(sorted((*states, *crew.others), key=lambda state: state.index))

    def indices(self) -> frozenset[int]:
        """Return the indices of the GPUs that have a worker."""
        return frozenset(self._crew.workers)

    def hanging(self) -> frozenset[int]:
        """Return the indices of the GPUs that must not be asked anything, as a call on them does not return."""
        now = self._pacing.clock.monotonic()
        return frozenset(
            index
            for index, worker in self._crew.workers.items()
            if worker.is_stopping or _condition(worker, now) is Condition.HANGING
        )

    def want_look(self) -> bool:
        """Say whether some GPU's layout has changed or its thread has died, which is then to be told to `replace`."""
        wanting = [worker for worker in self._crew.workers.values() if worker.wants_look() or worker.has_died]
        return bool(wanting)

    def report(self) -> None:
        """Say in the log which GPUs have begun to hang or are lost, and which of them answer again."""
        now = self._pacing.clock.monotonic()
        conditions = {index: _condition(worker, now) for index, worker in self._crew.workers.items()}
        for index, condition in conditions.items():
            before = self._reported.get(index)
            if condition is Condition.HANGING and before is not condition:
                log.error("GPU %d: an NVML call does not return; its series end, other GPUs are not affected", index)
                self._failures(Missing(Entity(self._crew.workers[index].device.gpu), EVERYTHING, Reason.TIMEOUT))
            elif condition is Condition.LOST and before is not condition:
                snapshot = self._crew.workers[index].snapshot
                log.error("GPU %d is not responding: %s", index, (snapshot and snapshot.gone) or Reason.UNREADABLE)
            elif condition is Condition.SAMPLED and before in {Condition.HANGING, Condition.LOST}:
                log.info("GPU %d is responding again", index)
        self._reported = conditions
        self._failures.report()

    def all_lost(self) -> bool:
        """Say whether there are GPUs, and every one is lost."""
        states = self.states()
        return bool(states) and all(state.condition is Condition.LOST for state in states)

    def any_sampled(self) -> bool:
        """Say whether some GPU is sampled as it should be."""
        return any(state.condition is Condition.SAMPLED for state in self.states())

    def replace(
        self,
        devices: Mapping[int, Device],
        unidentified: Mapping[int, Reason],
        driven: frozenset[str] | None = None,
    ) -> bool:
        """Keep the workers of unchanged devices, start those of new or changed ones, end the others.

        Args:
            devices: What is to be sampled, by index.
            unidentified: The other selected GPUs, and why they do not say who they are.
            driven: The PCI names of the GPUs that the driver has, None where that can't be told.

        Returns:
            False if a thread could not be started; its GPU counts as starting, and the next call tries again.
        """
        workers = {index: w for index, w in self._crew.workers.items() if self._stays(w, devices.get(index))}
        places = sorted({*devices, *unidentified})
        refused: dict[int, Reason] = {}
        for index in sorted(devices.keys() - workers.keys()):
            worker = self._start(devices[index], phase_s=self._pacing.interval_s * places.index(index) / len(places))
            if worker is None:
                refused[index] = Reason.NO_THREAD
            else:
                workers[index] = worker
        reasons = {index: reason for index, reason in {**unidentified, **refused}.items() if index not in workers}
        former = [state for state in self._crew.others if _is_missed(state, driven)]
        others = tuple(_without_worker(reasons, devices, former))
        for state in others:
            is_news = state.index in reasons and state not in self._crew.others
            if is_news and state.condition is not Condition.STARTING:
                log.error("GPU %d is not responding: %s", state.index, reasons[state.index])
        self._crew = _Crew(workers, others)
        return not refused

    def _start(self, device: Device, phase_s: float) -> Worker | None:
        gpu, targets = device.gpu, device.targets
        sampler = Sampler(device, self._calls(), self._pacing, self._failures)
        sampler.inherit(self._legacies.get(gpu.uuid, {}))
        worker = Worker(sampler, self._plan, Timetable(self._pacing.interval_s, phase_s), self._pacing.clock)
        worker.snapshot = self._still_true(device)
        try:
            worker.start()
        except RuntimeError:
            self._failures(Missing(Entity(gpu), EVERYTHING, Reason.NO_THREAD))
            return None
        count = sum(target.entity.instance is not None for target in targets)
        instances = f", {count} MIG instances" if count else ""
        log.info("sampling GPU %d: %s, %s%s", gpu.index, gpu.model, gpu.uuid, instances)
        return worker

    def _still_true(self, device: Device) -> DeviceSnapshot | None:
        """Return the GPU's last snapshot, if that is still true: NVML may have been restarted for another GPU."""
        fresh = self._fresh.pop(device.gpu.uuid, None)
        if fresh is None or fresh.gpu != device.gpu or fresh.expires <= self._pacing.clock.monotonic():
            return None
        known = {target.entity for target in device.targets}
        instances = {sample.entity for sample in fresh.samples if sample.entity.link is None}
        return fresh if instances <= known else None

    def _stays(self, worker: Worker, wanted: Device | None) -> bool:
        """Say whether a worker keeps its place; one that is in a call does, until that returns."""
        if worker.has_died:
            log.error("GPU %d: its thread has died; starting another one", worker.device.gpu.index)
        elif worker.device == wanted and not worker.is_stopping:
            return True
        worker.stop()
        if not worker.ended(HANDOVER_S):
            return True
        self._legacies[worker.device.gpu.uuid] = worker.legacy()
        return False

    def end(self, within_s: float) -> bool:
        """Stop all workers; their GPUs count as lost until something is known of them again.

        Returns:
            False if a thread is still in a call after `within_s` seconds; then NVML must not be ended.
        """
        deadline = time.monotonic() + within_s
        for worker in self._crew.workers.values():
            worker.stop()
        in_a_call: dict[int, Worker] = {}
        lost: list[GpuState] = []
        for index, worker in self._crew.workers.items():
            if worker.ended(max(0.0, deadline - time.monotonic())):
                self._legacies[worker.device.gpu.uuid] = worker.legacy()
                if worker.snapshot and not worker.snapshot.gone:
                    self._fresh[worker.device.gpu.uuid] = worker.snapshot
                lost.append(replace(_state(index, worker, Condition.LOST), snapshot=_last_snapshot(worker)))
            else:
                in_a_call[index] = worker
        self._crew = _Crew(in_a_call, (*self._crew.others, *lost))
        return not in_a_call

    def let_go(self) -> None:
        """Count all GPUs as released, after the end."""
        for state in self.states():
            if state.gpu is not None and state.condition is not Condition.RELEASED:
                self._failures(Missing(Entity(state.gpu), EVERYTHING, Reason.RELEASED))
        self._fresh.clear()
        released = (replace(state, condition=Condition.RELEASED, snapshot=None) for state in self.states())
        self._crew = _Crew({}, tuple(released))


def _state(index: int, worker: Worker, condition: Condition) -> GpuState:
    entities = tuple(target.entity for target in worker.device.targets)
    return GpuState(index, worker.device.gpu, condition, worker.snapshot, entities)


def _last_snapshot(worker: Worker) -> DeviceSnapshot | None:
    """Return what stays true of a GPU whose worker has ended: what it said last until that expires, and its last words.

    Those stay until something else is known of the GPU.
    """
    last, words = worker.snapshot, worker.last_words
    if last is None:
        return None
    said = {(word.entity, word.field) for word in words}
    others = (sample for sample in last.samples if (sample.entity, sample.field) not in said and not last.gone)
    samples = (*words, *(sample._replace(expires=min(sample.expires, last.expires)) for sample in others))
    return replace(last, samples=samples, missing=(), expires=math.inf) if samples else None


def _is_missed(state: GpuState, driven: frozenset[str] | None) -> bool:
    """Say whether a GPU that is possibly no longer listed is missed: one that was taken from the driver is not.

    One that fell off the bus was, too; the Xid that it left tells it apart.
    """
    if driven is None or state.gpu is None or state.snapshot is None or _pci_name(state.gpu) in driven:
        return True
    labels = (label for sample in state.snapshot.samples for label in sample.labels)
    return bool({value for name, value in labels if name in {"err_code", "xid"}} - _HARMLESS)


def _pci_name(gpu: Gpu) -> str:
    """Return a GPU's PCI name as Linux writes it, with a domain of four digits where that is enough."""
    domain, colon, rest = gpu.pci_bus_id.lower().partition(":")
    return f"{int(domain or '0', 16):04x}{colon}{rest}"


def _without_worker(
    reasons: Mapping[int, Reason], devices: Mapping[int, Device], former: Iterable[GpuState]
) -> Iterable[GpuState]:
    """Yield the states of the GPUs that have no worker, and of lost ones that are no longer listed.

    Args:
        reasons: Why there is none, by index.
        devices: The GPUs that say who they are.
        former: The states of those that had none before. An index means the same GPU as long as that is not seen
            elsewhere.
    """
    seen = {device.gpu.uuid for device in devices.values()}
    unseen = {state.index: state for state in former if state.gpu and state.gpu.uuid not in seen}
    for index, reason in reasons.items():
        known = GpuState(index, devices[index].gpu if index in devices else None, Condition.STARTING, None)
        if index not in devices:
            known = unseen.pop(index, known)
        yield replace(known, condition=_condition_without_worker(reason))
    taken = {*reasons, *devices}
    for index, state in unseen.items():
        if state.snapshot is not None and state.snapshot.gone:
            free = index if index not in taken else max(taken) + 1
            taken.add(free)
            yield replace(state, index=free)


def _condition(worker: Worker, now: float) -> Condition:
    if worker.is_late(now) and not worker.has_died:
        return Condition.LOST if worker.is_failing else Condition.HANGING
    if worker.snapshot is None:
        return Condition.STARTING
    return Condition.LOST if worker.snapshot.gone else Condition.SAMPLED


def _condition_without_worker(reason: Reason) -> Condition:
    """Return the condition of a GPU that does not say who it is, or that no thread could be started for."""
    if reason in {Reason.NO_SAMPLE_YET, Reason.NO_THREAD}:
        return Condition.STARTING
    return Condition.HANGING if reason is Reason.TIMEOUT else Condition.LOST
