"""Scrapes without threads, sockets or waiting: a mock machine, collected from at fixed times, and its page."""

from collections.abc import Callable
from dataclasses import dataclass, field

from exporter.catalogue import ANSWERED, CATALOGUE, OWN_SERIES, busy_seconds
from exporter.counters import Counter, parse_counters
from exporter.counters_source import PACKAGED
from exporter.exposition import Format
from exporter.labels import LabelCache, LabelOptions
from exporter.mock import Scenario
from exporter.model import Attribution, Condition, Entity, GpuState, Owner, Reason
from exporter.nvml.calls import Calls
from exporter.nvml.entities import Layout, find_layout, select
from exporter.pages import Content, Pages
from exporter.sampling.failures import Failures
from exporter.sampling.pace import Pacing
from exporter.sampling.plan import plan
from exporter.sampling.sampler import Sampler
from exporter.settings import BusySource, DeviceKind, DeviceSelection
from exporter.telemetry import Telemetry, TelemetrySources
from tests.unit.fake_clock import FakeClock
from tests.unit.mock_machines import started

INTERVAL_S = 1.0
BUSY = (BusySource.GPU, BusySource.MEMORY, BusySource.PROFILING)
SECOND_AT_S = 0.15
"""As workers do it: two collections at once, so that rates and pairs are there, then one in each interval."""


def counters_of(*file_names: str) -> tuple[Counter, ...]:
    """Return the counters of packaged files, read as one file, and the series of our own that are on by default."""
    text = "\n".join((PACKAGED / name).read_text(encoding="utf-8") for name in file_names)
    return (*parse_counters(text, "+".join(file_names), ANSWERED).counters, *OWN_SERIES, *busy_seconds.series(BUSY))


@dataclass(frozen=True, slots=True)
class Setup:
    """What the exporter is told: counters, labels, devices, and who holds a device."""

    counters: tuple[Counter, ...] = field(default_factory=lambda: counters_of("default-counters.csv"))
    labels: LabelOptions = field(default_factory=lambda: LabelOptions(hostname="node-1"))
    devices: tuple[DeviceSelection, ...] = (DeviceSelection(DeviceKind.FLEX),)
    owner: Callable[[Entity], tuple[Owner, ...]] = lambda _: ()


def scrape(machine: Scenario, at_s: float, setup: Setup, form: Format = Format.TEXT) -> str:
    """Return the page of a machine's exporter, as it is `at_s` seconds after both began."""
    clock = FakeClock()
    nvml = started(machine, clock)
    failures = Failures()
    layouts = {index: _layout(Calls(nvml), index) for index in range(len(machine.gpus))}
    devices = select(layouts, setup.devices).values()
    samplers = [Sampler(device, Calls(nvml), Pacing(clock, INTERVAL_S), failures) for device in devices]
    for sampler in samplers:
        sampler.follow(plan({counter.field for counter in setup.counters}, CATALOGUE))
    states = _collect(samplers, clock, at_s)
    owners = {t.entity: setup.owner(t.entity) for device in devices for t in device.targets}
    known = TelemetrySources(
        version="0",
        source="mock",
        states=lambda: states,
        nvml_works=lambda: True,
        failures=failures.totals,
        scrapes=lambda: {"ok": 0, "error": 0, "rejected": 0},
        reloaded=lambda: (True, clock.time()),
    )
    content = Content(states=lambda: states, attribution=lambda: Attribution(owners), counters=lambda: setup.counters)
    return Pages(content, Telemetry(known), LabelCache(setup.labels), clock).page(form).text.decode()


def _collect(samplers: list[Sampler], clock: FakeClock, until_s: float) -> tuple[GpuState, ...]:
    moments = [0.0, SECOND_AT_S, *(n * INTERVAL_S for n in range(1, int(until_s / INTERVAL_S) + 1))]
    states: tuple[GpuState, ...] = ()
    began = clock.now
    for moment in moments:
        clock.advance(began + moment - clock.now)
        states = tuple(map(_state, samplers))
    return states


def _layout(calls: Calls, index: int) -> Layout:
    layout = find_layout(calls, index)
    assert not isinstance(layout, Reason)
    return layout


def _state(sampler: Sampler) -> GpuState:
    gpu, snapshot = sampler.device.gpu, sampler.collect()
    return GpuState(gpu.index, gpu, Condition.LOST if snapshot.gone else Condition.SAMPLED, snapshot)
