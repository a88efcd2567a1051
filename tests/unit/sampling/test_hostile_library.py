"""Whatever one function of the driver's library does, short of hanging, costs what it answers and nothing else."""

import ctypes
from collections.abc import Callable, Iterable
from functools import cache
from itertools import chain
from typing import Any

import pynvml
import pytest

from exporter.catalogue import CATALOGUE
from exporter.catalogue.reading import Call, FieldValue, Reading, Tracked
from exporter.catalogue.units import RANGES, unit_of
from exporter.model import Reason
from exporter.nvml.calls import Calls
from exporter.nvml.entities import Layout, find_layout, select
from exporter.sampling.pace import Pacing
from exporter.sampling.plan import plan
from exporter.sampling.sampler import Sampler
from exporter.settings import parse_devices
from tests.unit.fake_clock import FakeClock
from tests.unit.faulty_nvml import FaultyNvml, failing
from tests.unit.mock_machines import scenario, started

MACHINES = {
    "h100": "gpus: [{profile: h100-sxm, load: 40, nvlink: true, faults: [{kind: xid, at_s: 1, code: 31}]}]",
    "mig": "gpus: [{profile: a100-sxm, load: 40, mig: [1g.10gb, {profile: 3g.40gb, compute: [1, 2]}, 2g.20gb]}]",
}


def asked_alike(reading: Reading) -> tuple[object, ...]:
    match reading:
        case Call():
            return (Call, reading.function, reading.scope)
        case FieldValue():
            return (FieldValue, reading.scope)
        case Tracked():
            return (Tracked, reading.tracker, reading.scope)


def one_of_each_kind() -> Iterable[Reading]:
    """Return a reading for all that are asked for in the same way: of links alone there are hundreds."""
    return {asked_alike(reading): reading for reading in CATALOGUE}.values()


PLAN = plan({field.name for reading in one_of_each_kind() for field in reading.fields}, CATALOGUE)


def raising(error: Exception) -> Callable[..., Any]:
    def fail(*_: Any) -> Any:
        raise error

    return fail


def all_ones(answer: Any) -> Any:
    """Return an answer of the same shape in which every number is all ones, and no text is UTF-8."""
    if isinstance(answer, list):
        return [all_ones(one) for one in answer]
    if isinstance(answer, tuple):
        return tuple(all_ones(one) for one in answer)
    if isinstance(answer, int):
        return 0xFFFFFFFF
    if isinstance(answer, str):
        return b"\xff\xfe".decode()
    if isinstance(answer, ctypes.Structure | ctypes.Array):
        ctypes.memset(ctypes.byref(answer), 0xFF, ctypes.sizeof(answer))
    return answer


Misbehaving = Callable[[Callable[..., Any]], Callable[..., Any]]
FAULTS: tuple[dict[str, Misbehaving], ...] = (
    {
        "is absent": lambda _: failing(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND),
        "is of another version": lambda _: failing(pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH),
    },
    {
        "fails": lambda _: failing(pynvml.NVML_ERROR_UNKNOWN),
        "fails with a code that nobody knows": lambda _: failing(987_654),
    },
    {"gives up": lambda _: failing(pynvml.NVML_ERROR_TIMEOUT)},
    {
        "raises a TypeError": lambda _: raising(TypeError("an integer is required")),
        "raises an ArgumentError": lambda _: raising(ctypes.ArgumentError("argument 1")),
        "raises an OSError": lambda _: raising(OSError("exception: access violation")),
    },
    {"answers all ones": lambda real: lambda *args: all_ones(real(*args))},
)
"""What a function may do. Those that come to the same, by test_calls.py, take turns from one function to the next."""


def faults(name: str, function: str) -> dict[str, Misbehaving]:
    """Return one of each kind; machines that call the same function share the kinds."""
    turn = CASES.index((name, function))
    machines = [machine for machine, called in CASES if called == function]
    kinds = FAULTS[machines.index(name) :: len(machines)]
    return dict(list(alike.items())[turn % len(alike)] for alike in kinds)


class Machine:
    """One GPU of a mock machine, looked at and sampled as a worker does."""

    def __init__(self, text: str) -> None:
        self.clock = FakeClock()
        self.nvml = FaultyNvml(started(scenario(text), self.clock))
        self.nvml.nvmlInit()

    def look(self) -> Layout | Reason:
        return find_layout(Calls(self.nvml), 0)

    def sampler(self) -> Sampler:
        layout = self.look()
        assert isinstance(layout, Layout)
        device = select({0: layout}, parse_devices("f"))[0]
        sampler = Sampler(device, Calls(self.nvml), Pacing(self.clock, 1.0), lambda _: None)
        sampler.follow(PLAN)
        return sampler


def called(text: str, task: Callable[[Machine], object]) -> list[str]:
    machine = Machine(text)
    machine.nvml.calls.clear()
    task(machine)
    return sorted(machine.nvml.calls)


def two_collections(machine: Machine, sampler: Sampler) -> dict[str, Any]:
    """Return the last values of all fields that have one, by name."""
    for _ in range(2):
        machine.clock.advance(1)
        snapshot = sampler.collect()
    sampler.close()
    return {sample.field: sample.value for sample in snapshot.samples}


@cache
def answered(name: str) -> frozenset[str]:
    """Return the fields that a machine answers while nothing misbehaves."""
    machine = Machine(MACHINES[name])
    return frozenset(two_collections(machine, machine.sampler()))


IDENTITY = "nvmlDeviceGetUUID"
"""A GPU or an instance that has become another one than was looked at has no values until it is looked at again."""

CASES = [
    (name, function)
    for name, text in MACHINES.items()
    for function in called(text, lambda machine: two_collections(machine, machine.sampler()))
    if function != IDENTITY
]


@pytest.mark.parametrize(("name", "function"), CASES)
def test_one_function_that_misbehaves_costs_no_other_reading(name: str, function: str) -> None:
    machine = Machine(MACHINES[name])
    expected = answered(name)
    for fault, misbehaving in faults(name, function).items():
        sampler = machine.sampler()
        machine.nvml.replaced[function] = misbehaving(getattr(machine.nvml, function))
        values = two_collections(machine, sampler)
        machine.nvml.replaced.clear()
        for field, value in values.items():
            if unit_of(field):
                low, high = RANGES[unit_of(field)]
                assert low <= value <= high, fault
        lost = expected - values.keys()
        assert len(lost) < len(expected) / 2, (fault, lost)


@pytest.mark.parametrize("name", MACHINES)
def test_a_look_at_a_gpu_ends_with_a_layout_or_a_reason_whatever_misbehaves(name: str) -> None:
    machine = Machine(MACHINES[name])
    for function in called(MACHINES[name], Machine.look):
        for misbehaving in chain.from_iterable(alike.values() for alike in FAULTS):
            machine.nvml.replaced[function] = misbehaving(getattr(machine.nvml, function))
            assert isinstance(machine.look(), Layout | Reason)
            machine.nvml.replaced.clear()
