"""Starts NVML, looks at the GPUs, keeps a worker for each, and follows GPUs that come, go or change their layout.

One thread, which waits for no call: those on NVML as a whole and looks have threads of their own. While any call
hangs NVML is not ended, and a GPU on which one hangs is asked nothing.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from exporter.model import Clock, Entity, GpuState, Reason
from exporter.nvml.calls import Calls, Ledger
from exporter.nvml.entities import Device, Layout, select, unmatched_ids
from exporter.sampling.failures import Failures
from exporter.sampling.looks import Looks
from exporter.sampling.nvml_session import NvmlSession
from exporter.sampling.pace import Pacing
from exporter.sampling.plan import Plan
from exporter.sampling.scrapes import Scrapes
from exporter.sampling.workers import Workers
from exporter.settings import DeviceKind, DeviceSelection

log = logging.getLogger(__name__)

NO_THREAD = "can't start a thread, so GPUs are missing: raise this container's limit of processes (pids)"

LET_GO = "all GPUs were let go after SIGUSR1; SIGUSR2 takes them back"

STILL_HELD = "all GPUs are to be let go after SIGUSR1, but an NVML call has not returned yet"

WATCH_S = 1.0
FIRST_RETRY_S = 1.0
LONGEST_RETRY_S = 60.0
STOP_S = 1.0


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to sample: by which NVML, which devices, how often, and how often to look for changed devices.

    `pci_devices` lists the GPUs that the operating system has, as far as it can tell: NVML sees a new one only
    after a restart. It answers None where the system does not tell now. `ledger` notes what NVML costs,
    `scrapes` tells when what accumulates is asked for.
    """

    library: Any
    selections: tuple[DeviceSelection, ...]
    clock: Clock
    interval_s: float
    scan_s: float
    pci_devices: Callable[[], frozenset[str] | None]
    ledger: Ledger = field(default_factory=Ledger)
    scrapes: Scrapes = field(default_factory=Scrapes)


class Supervisor:
    """Keeps NVML and its workers going."""

    def __init__(self, sampling: Sampling, plan: Plan, failures: Failures) -> None:
        self._sampling = sampling
        self._plan = plan
        self._stopping = threading.Event()
        self._looks = Looks(sampling.library, sampling.clock, self._stopping)
        self._workers = Workers(
            partial(Calls, sampling.library, sampling.ledger),
            Pacing(sampling.clock, sampling.interval_s, sampling.scrapes),
            plan=lambda: self._plan,
            failures=failures,
        )
        self._nvml = NvmlSession(sampling.library, sampling.clock, self._stopping, self._workers.report)
        self._layouts: dict[int, Layout] = {}
        self._listed = False
        self._unmatched: frozenset[int] = frozenset()
        self._retry_s = FIRST_RETRY_S
        self._next_scan = float("-inf")
        self._pci: frozenset[str] | None = None
        self._shall_let_go = threading.Event()
        self._has_let_go = False
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)

    def start(self) -> None:
        """Start watching; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """End the workers and NVML, but wait for no call that hangs."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(STOP_S / 2)
        if not self._thread.is_alive() and self._may_end_nvml(STOP_S / 2):
            self._nvml.end_within(STOP_S / 2)

    def follow(self, plan: Plan) -> None:
        """Read by this plan from the next collections on. Trackers stay."""
        self._plan = plan

    def let_go(self) -> None:
        """Give all handles back to the driver soon, so that /dev/nvidia* are closed, until `take_again`."""
        self._shall_let_go.set()

    def take_again(self) -> None:
        """Look for the GPUs again, soon."""
        self._shall_let_go.clear()

    def states(self) -> tuple[GpuState, ...]:
        """Return every selected GPU's state in NVML's order. Makes no NVML call."""
        return self._workers.states()

    def holdable(self) -> tuple[Entity, ...]:
        """Return what pods can be given, exported or not: each GPU, or in its place the instances that divide it."""
        layouts = tuple(self._layouts.values())
        return tuple(target.entity for layout in layouts for target in layout.instances or (layout.whole,))

    def watching(self) -> bool:
        """Say whether the supervisor lives."""
        return self._thread.is_alive()

    def trouble(self) -> str:
        """Return one sentence on what is wrong with NVML as a whole, empty if nothing is."""
        return self._nvml.trouble

    def nvml_works(self) -> bool:
        """Say whether NVML has listed the GPUs and works: one that is sampled shows it, whatever else is wrong."""
        trouble = self._nvml.trouble
        works = not trouble or (trouble == NO_THREAD and self._nvml.is_started)
        return self._listed and (works or self._workers.any_sampled())

    def has_let_go(self) -> bool:
        """Say whether all GPUs are let go, because somebody asked for it."""
        return self._has_let_go

    def has_failed(self) -> bool:
        """Say whether the trouble is a failure, and not a call that has not returned yet, or GPUs that were let go."""
        return self._nvml.has_failed

    def listed(self) -> bool:
        """Say whether the devices have been listed at least once."""
        return self._listed

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._watch()
            except Exception:
                log.exception("watching the GPUs failed; retrying")
            self._stopping.wait(min(WATCH_S, self._sampling.interval_s))

    def _watch(self) -> None:
        self._workers.report()
        if self._shall_let_go.is_set():
            self._let_go()
        else:
            self._follow_gpus()

    def _follow_gpus(self) -> None:
        """Start NVML and look for GPUs where it is time for that."""
        if self._has_let_go:
            self._has_let_go, self._next_scan = False, float("-inf")
        if not self._nvml.is_started and self._driver_has_changed():
            self._retry_s, self._next_scan = FIRST_RETRY_S, float("-inf")
        now = self._sampling.clock.monotonic()
        has_news = self._workers.want_look() or self._looks.has_news()
        if now < self._next_scan and (self._nvml.trouble or not has_news):
            return
        if self._workers.any_sampled():
            self._retry_s = FIRST_RETRY_S
        self._next_scan = now + self._sampling.scan_s
        try:
            if self._nvml.is_started and not self._hanging() and self._needs_restart():
                self._end_nvml()
            trouble = self._start() or self._scan()
            if trouble and trouble != NO_THREAD and not self._hanging() and not self._workers.any_sampled():
                self._end_nvml()
        except RuntimeError:
            trouble = NO_THREAD
        if self._stopping.is_set():
            return
        self._nvml.report(trouble)
        if trouble:
            self._back_off()

    def _let_go(self) -> None:
        if self._has_let_go:
            return
        try:
            self._end_nvml()
        except RuntimeError:
            self._nvml.report(NO_THREAD)
            return
        if self._nvml.is_started:
            self._nvml.report(STILL_HELD, is_failure=False)
            return
        self._workers.let_go()
        self._nvml.report(LET_GO, is_failure=False)
        self._has_let_go = True

    def _hanging(self) -> frozenset[int]:
        return self._workers.hanging() | self._looks.under_way()

    def _start(self) -> str:
        """Start NVML if it is not; return what is wrong, empty if nothing is."""
        if self._nvml.is_started:
            return ""
        pci = self._sampling.pci_devices()
        trouble = self._nvml.start()
        self._pci = pci
        return trouble

    def _scan(self) -> str:
        """Look at all GPUs and give each a worker; return what is wrong, empty if nothing is."""
        count = self._nvml.count()
        if isinstance(count, str):
            return count
        answers = self._looks.look(frozenset(range(count)) - self._workers.hanging())
        self._layouts |= {index: answer for index, answer in answers.items() if isinstance(answer, Layout)}
        devices = select(self._layouts, self._sampling.selections)
        failed = {index: answer for index, answer in answers.items() if isinstance(answer, Reason)}
        unidentified = {index: reason for index, reason in failed.items() if self._is_unidentified(index, devices)}
        identified = {index: device for index, device in devices.items() if index not in unidentified}
        has_threads = self._workers.replace(identified, unidentified, self._pci)
        self._warn_of_unmatched(count)
        self._listed = True
        return "" if has_threads and Reason.NO_THREAD not in failed.values() else NO_THREAD

    def _is_unidentified(self, index: int, devices: Mapping[int, Device]) -> bool:
        """Say whether a GPU that does not say who it is counts as one that should be sampled.

        One that has a worker keeps it, lost or not: it is the same GPU when it is back. One that nobody has seen
        counts if -d may ask for something of it.
        """
        if index in self._layouts:
            return index in devices and index not in self._workers.indices()
        return any(s.kind is not DeviceKind.GPUS or s.ids is None or index in s.ids for s in self._sampling.selections)

    def _warn_of_unmatched(self, count: int) -> None:
        """Say in the log which indices of -d nothing has, when they become others."""
        unmatched = unmatched_ids(self._layouts, count, self._sampling.selections)
        if unmatched and unmatched != self._unmatched:
            log.warning("-d selects indices that do not exist: %s", ", ".join(map(str, sorted(unmatched))))
        self._unmatched = unmatched

    def _needs_restart(self) -> bool:
        """Say whether only a restart of NVML can help; at most once per back-off."""
        if self._driver_has_changed():
            log.info("GPUs were added or removed: restarting NVML")
            return True
        if self._workers.all_lost():
            log.warning("no GPU is responding: restarting NVML")
            self._back_off()
            return True
        return False

    def _driver_has_changed(self) -> bool:
        """Say whether the driver has other GPUs than when NVML was started, or started in vain, the last time."""
        pci = self._sampling.pci_devices()
        return pci is not None and self._pci is not None and pci != self._pci

    def _end_nvml(self) -> None:
        """End all workers, and NVML unless some call hangs."""
        if self._may_end_nvml(STOP_S):
            self._nvml.end()
            self._layouts = {}  # their handles are void, and so is what a look has found meanwhile
            self._looks.forget()

    def _may_end_nvml(self, within_s: float) -> bool:
        """End all workers; say whether NVML has been started and no call on it is under way."""
        has_ended = self._workers.end(within_s) and not self._looks.under_way()
        return has_ended and self._nvml.is_started and self._nvml.is_idle()

    def _back_off(self) -> None:
        self._next_scan = self._sampling.clock.monotonic() + self._retry_s
        self._retry_s = min(2 * self._retry_s, LONGEST_RETRY_S)
