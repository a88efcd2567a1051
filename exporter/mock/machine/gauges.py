"""From a scenario to signals: what one GPU or MIG instance answers at any time.

A quantity's value comes from the scenario's own `values`, else from the replayed recording, else it lies between the
profile's idle and busy value as the load says. What is a rate's integral on hardware (energy, bytes) is one here too.
A quantity that the profile does not have is not supported, whatever a recording of another model
says about it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import TypeVar

from exporter.mock.machine.drive import Drive
from exporter.mock.machine.loads import RATE, RING, UTILIZATION
from exporter.mock.machine.placement import COMPUTE_SLICES
from exporter.mock.machine.profile import Span
from exporter.mock.machine.quantities import FIELD, GPM, SAMPLED, STATES, gpm_number
from exporter.mock.machine.scenario import ScenarioGpu, ScenarioInstance
from exporter.mock.machine.signals import Between, Either, GrowingTotal, LastSample, Mix, Signal, Trailing, Value

T = TypeVar("T")

SAMPLE_PERIOD_S = 0.2
"""How often the driver samples utilization; recorded on an H100."""

MIB = 1 << 20

_POWER_WINDOW_S = 1.0


@dataclass(frozen=True, slots=True)
class Memory:
    """A framebuffer: its size, what of it the driver keeps, and what is used; bytes."""

    total: int
    reserved: int
    used: Value


@dataclass(frozen=True, slots=True)
class Gauges:
    """What a device answers; what is absent is not supported.

    Attributes:
        values: By quantity.
        sampled: The signals behind the rings of samples, by quantity; percent.
        gpm: By NVML_GPM_METRIC_* number, in NVML's unit.
        memory: The framebuffer.
    """

    values: Mapping[str, Value]
    sampled: Mapping[str, Signal]
    gpm: Mapping[int, Signal]
    memory: Memory


def gpu_gauges(gpu: ScenarioGpu, drive: Drive) -> Gauges:
    """Return what a GPU answers under a drive."""
    profile = gpu.profile
    totals = {name: total for name, total in _answered(profile.totals, gpu).items() if name not in gpu.values}
    quantities = _answered(profile.quantities, gpu)
    signals = _signals({**quantities, UTILIZATION: Span(0, 100)}, drive, gpu.values)
    replayed = drive.replayed - gpu.values.keys()
    links = _nvlink_rates(gpu, drive) if gpu.has_nvlink else {}
    values: dict[str, Value] = dict(signals)
    values |= {
        name: LastSample(signals[name], SAMPLE_PERIOD_S) for name in SAMPLED if name in signals.keys() - replayed
    }
    averages_power = profile.averages_power and "power_average_mw" not in replayed | gpu.values.keys()
    values |= _power(signals, averages=averages_power)
    for name in STATES & signals.keys() - replayed:
        state = gpu.values.get(name) or quantities[name]
        values[name] = Either(drive.activity, state.idle, state.busy)
    for name, total in totals.items():
        rate = drive.replay(f"{RATE}{name}", Between(drive.activity, total.rate.idle, total.rate.busy))
        values[name] = GrowingTotal(drive.first(name, total.start), rate)
    values |= _integrals(signals, drive, gpu)
    values |= {f"nvlink_{way}_kib": GrowingTotal(0.0, rate) for way, rate in links.items()}
    memory = Memory(profile.memory_total_bytes, profile.memory_reserved_bytes, values["memory_used_bytes"])
    sampled = {name: signals[name] for name in SAMPLED if name in signals}
    sampled |= {name: drive.replay(f"{RING}{name}", signal) for name, signal in sampled.items() if name in replayed}
    recorded = _gpm({name: signals[name] for name in signals.keys() & replayed})
    return Gauges(values, sampled, _gpm(signals) | _gpm_of_links(gpu, links) | recorded, memory)


def instance_gauges(gpu: ScenarioGpu, instance: ScenarioInstance, drive: Drive) -> Gauges:
    """Return what a MIG instance answers under a drive: its framebuffer and its GPM metrics."""
    profile = gpu.profile
    share = instance.profile.slices / COMPUTE_SLICES
    spans = {
        name: Span(span.idle * share, span.busy * share) if name.endswith("_PER_SEC") else span
        for name, span in _answered(profile.quantities, gpu).items()
        if name.startswith(GPM)
    }
    total = instance.profile.memory_mib * MIB
    filled = profile.quantities["memory_used_bytes"].busy / (profile.memory_total_bytes - profile.memory_reserved_bytes)
    memory = Memory(total, 0, Between(drive.activity, 0.0, total * filled))
    return Gauges({}, {}, _gpm(_signals(spans, drive, {})), memory)


def _answered(listed: Mapping[str, T], gpu: ScenarioGpu) -> dict[str, T]:
    """Leave out what a model lists of its NVLinks where there are none: MIG has no metrics of them either."""
    absent = tuple(
        prefix
        for prefix, is_absent in ((f"{GPM}NVLINK_", bool(gpu.instances)), (f"{FIELD}NVLINK_", not gpu.has_nvlink))
        if is_absent
    )
    return {name: value for name, value in listed.items() if not name.startswith(absent)}


def _signals(spans: Mapping[str, Span], drive: Drive, own: Mapping[str, Span]) -> dict[str, Signal]:
    signals = {name: drive.quantity(name, span) for name, span in spans.items() if name not in own}
    return signals | {name: Between(drive.activity, span.idle, span.busy) for name, span in own.items()}


def _power(signals: Mapping[str, Signal], *, averages: bool) -> dict[str, Value]:
    """Return what follows from the present power; `averages` where the mean over a second does too."""
    if "power_instant_mw" not in signals:
        return {}
    power = signals["power_instant_mw"]
    values: dict[str, Value] = {"power_average_mw": Trailing(power, _POWER_WINDOW_S)} if averages else {}
    if "power_usage_mw" not in signals:
        values["power_usage_mw"] = values.get("power_average_mw", signals.get("power_average_mw", power))
    return values


def _integrals(signals: Mapping[str, Signal], drive: Drive, gpu: ScenarioGpu) -> dict[str, Value]:
    """Return the totals that grow by something else that is answered, where their own growth was not recorded."""
    sources = {
        "energy_mj": ("power_instant_mw", 1),
        "pcie_transmitted_bytes": ("gpm.PCIE_TX_PER_SEC", MIB),
        "pcie_received_bytes": ("gpm.PCIE_RX_PER_SEC", MIB),
    }
    values: dict[str, Value] = {}
    for name, (source, factor) in sources.items():
        if name in signals and source in signals:
            rate: Signal = Mix(((factor, signals[source]),))
            rate = rate if name in gpu.values else drive.replay(f"{RATE}{name}", rate)
            values[name] = GrowingTotal(signals[name].value(0.0), rate)
    return values


def _nvlink_rates(gpu: ScenarioGpu, drive: Drive) -> dict[str, Signal]:
    """Return what all links carry, in KiB per second."""
    nvlink = gpu.profile.nvlink
    if nvlink is None:
        return {}
    spans = {"transmitted": nvlink.transmit, "received": nvlink.receive}
    return {way: Between(drive.activity, span.idle, span.busy) for way, span in spans.items()}


def _gpm(signals: Mapping[str, Signal]) -> dict[int, Signal]:
    numbers = ((gpm_number(name.removeprefix(GPM)), name) for name in signals if name.startswith(GPM))
    return {number: signals[name] for number, name in numbers if number is not None}


def _gpm_of_links(gpu: ScenarioGpu, rates: Mapping[str, Signal]) -> dict[int, Signal]:
    """Return GPM's own view of the NVLinks, over all and for each: what it calls MiB is 1000 KiB on an H200."""
    if not rates or gpu.profile.nvlink is None:
        return {}
    links = gpu.profile.nvlink.links
    ways = (("TX", rates["transmitted"]), ("RX", rates["received"]))
    signals = chain.from_iterable(
        (
            (f"NVLINK_TOTAL_{way}_PER_SEC", Mix(((1 / 1000, rate),))),
            *((f"NVLINK_L{link}_{way}_PER_SEC", Mix(((1 / 1000 / links, rate),))) for link in range(links)),
        )
        for way, rate in ways
    )
    numbered = ((gpm_number(name), signal) for name, signal in signals)
    return {number: signal for number, signal in numbered if number is not None}
