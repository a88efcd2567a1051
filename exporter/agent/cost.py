"""What a counters file costs on this machine: each reading is made a few times, and a line says what it took."""

import logging
import time
from collections.abc import Collection, Iterator, Mapping
from itertools import chain
from typing import Any, NamedTuple

from exporter.agent.inputs import counters_source, nvml_library
from exporter.catalogue import ANSWERED, CATALOGUE, busy_seconds
from exporter.catalogue.reading import Reading, Tracked
from exporter.counters import Counter, parse_counters
from exporter.errors import NvmlError
from exporter.model import Reason
from exporter.nvml.calls import Calls, Ledger, Spent
from exporter.nvml.entities import Device, Layout, find_layout, select
from exporter.nvml.names import names_of
from exporter.nvml.session import end, start
from exporter.sampling.pace import Pacing
from exporter.sampling.plan import Plan, plan
from exporter.sampling.sampler import Sampler
from exporter.settings import Settings

ROUNDS = 5
APART_S = 0.15

SCRAPE_S = 15.0
"""How often what accumulates is taken to be asked for."""

log = logging.getLogger(__name__)


class Line(NamedTuple):
    """What one function or field value of NVML costs on one GPU."""

    name: str
    period_s: float
    uses: float
    seconds: float
    fields: tuple[str, ...]

    @property
    def share(self) -> float:
        """Return the share of a core that it takes at most: NVML may sleep meanwhile."""
        return self.uses * self.seconds / self.period_s


def cost_report(settings: Settings) -> str:
    """Measure the first GPU that is selected.

    Raises:
        ExporterError: The counters can't be read, or there is no GPU that answers.
    """
    source = counters_source(settings)
    parsed = parse_counters(source.read(), source.name, ANSWERED)
    for warning in parsed.warnings:
        log.warning("%s", warning)
    library = nvml_library(settings)
    start(library)
    try:
        counters = (*parsed.counters, *busy_seconds.series(settings.busy_seconds))
        return "\n".join(_report(library, settings, counters))
    finally:
        end(library)


def _report(library: Any, settings: Settings, counters: Collection[Counter]) -> Iterator[str]:
    device = _first_device(library, settings)
    asked = {counter.field: counter.name for counter in counters}
    printed = {**_made_into(asked), **asked}
    supported = _supported(library, device, asked)
    chosen = plan(asked.keys() & supported, CATALOGUE)
    spent = _spent(library, device, chosen)
    lines = list(_lines(spent, chosen, printed.keys() & supported, settings.collect_interval_s))
    collection = f"a collection every {settings.collect_interval_s:g} s, a scrape every {SCRAPE_S:g} s"
    yield f"{device.gpu.model}, GPU {device.gpu.index}, {collection}"
    yield f"{'NVML':52} {'every':>7} {'uses':>5} {'us/use':>9} {'% of a core':>11}  fields"
    for line in sorted(lines, key=lambda line: -line.share):
        names = ", ".join(dict.fromkeys(printed[field] for field in line.fields))
        each = f"{line.period_s:g} s" if line.period_s < float("inf") else "once"
        yield f"{line.name:52} {each:>7} {line.uses:5g} {line.seconds * 1e6:9.1f} {line.share * 100:11.4f}  {names}"
    yield f"{'total, at most':52} {'':23} {sum(line.share for line in lines) * 100:11.4f}"
    lacking = sorted(asked[field] for field in asked.keys() - supported)
    if lacking:
        yield f"not supported by this GPU: {', '.join(lacking)}"


def _first_device(library: Any, settings: Settings) -> Device:
    calls = Calls(library)
    count = calls("nvmlDeviceGetCount")
    found = {} if isinstance(count, Reason) else {index: find_layout(calls, index) for index in range(count)}
    layouts = {index: layout for index, layout in found.items() if isinstance(layout, Layout)}
    devices = select(layouts, settings.devices)
    if not devices:
        raise NvmlError("no selected GPU answers")
    return devices[min(devices)]


def _made_into(asked: Mapping[str, str]) -> dict[str, str]:
    """Return for the fields that others are made of the name of one that is asked for."""
    made = [(field, reading) for reading in CATALOGUE if isinstance(reading, Tracked) for field in reading.fields]
    return {one: asked[field.name] for field, reading in made if field.name in asked for one in reading.inputs}


def _supported(library: Any, device: Device, fields: Collection[str]) -> frozenset[str]:
    """Return what the GPU answers of the fields and of what they are made of."""
    sampler = Sampler(device, Calls(library), Pacing(time, 1.0), lambda _: None)
    sampler.follow(plan(fields, CATALOGUE))
    sampler.collect()
    time.sleep(APART_S)
    names = frozenset(sample.field for sample in sampler.collect().samples)
    sampler.close()
    return names


def _spent(library: Any, device: Device, chosen: Plan) -> Mapping[str, Spent]:
    """Make every reading ROUNDS times, whatever its period."""
    ledger = Ledger()
    sampler = Sampler(device, Calls(library, ledger), Pacing(time, 1.0), lambda _: None)
    for _ in range(ROUNDS):
        sampler.follow(chosen)
        sampler.collect()
        time.sleep(APART_S)
    sampler.close()
    return ledger.totals()


def _period_s(reading: Reading) -> float:
    """Return how often a reading is made for a scrape each SCRAPE_S."""
    return min(reading.period, SCRAPE_S) if reading.accumulates else reading.period


def _lines(spent: Mapping[str, Spent], chosen: Plan, fields: Collection[str], interval_s: float) -> Iterator[Line]:
    tracked = chain.from_iterable(chosen.tracked.values())
    every: tuple[Reading, ...] = (*chosen.calls, *chosen.field_values, *tracked)
    readings: dict[str, list[Reading]] = {}
    for reading in every:
        if any(field.name in fields for field in reading.fields):
            for name in names_of(reading):
                readings.setdefault(name, []).append(reading)
    for name in readings.keys() & spent.keys():
        of_name = readings[name]
        answers = tuple(field.name for reading in of_name for field in reading.fields if field.name in fields)
        period_s = max(min(map(_period_s, of_name)), interval_s)
        times, seconds = spent[name]
        yield Line(name, period_s, times / ROUNDS, seconds / times, answers)
