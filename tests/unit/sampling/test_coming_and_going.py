"""GPUs that leave the machine and come back, and those that are let go on request."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from exporter.catalogue import CATALOGUE
from exporter.model import Reason
from exporter.sampling.plan import plan
from exporter.sampling.supervisor import LET_GO
from tests.unit.sampling.supervisor_bench import (
    FIELDS,
    HANGING,
    INTERVAL_S,
    RELEASED,
    SAMPLED,
    TWO,
    Make,
    SupervisorBench,
    threads_of,
)
from tests.waiting import until

VERSION = "DCGM_FI_SYSTEM_DRIVER_VERSION"


def uuids(bench: SupervisorBench) -> list[str]:
    return [state.gpu.uuid for state in bench.supervisor.states() if state.gpu]


@pytest.mark.parametrize("fault", ["", "{kind: xid, at_s: 2, code: 31}, "])
def test_a_gpu_that_is_unbound_leaves_nothing_is_bound_again_and_another_is_never_without_values(
    make: Make, fault: str
) -> None:
    """What an application did before is no reason to miss it."""
    unbound = f"{{profile: h100-sxm, faults: [{fault}{{kind: unbound, at_s: 10, until_s: 60}}]}}"
    bench = make(f"gpus: [{{profile: h100-sxm}}, {unbound}, {{profile: h100-sxm}}]")
    bench.asks_mock_for_pci = True
    bench.start(SAMPLED, SAMPLED, SAMPLED)
    first, middle, last = uuids(bench)
    bench.sound = (0,)
    has_values: list[bool] = []  # while NVML is started, and in each collection, the first ones after that included
    for function in ("nvmlInit", "nvmlDeviceGetTemperature"):
        bench.nvml.replaced[function] = watched(bench, function, has_values)

    def is_so(*expected: str) -> bool:
        return uuids(bench) == list(expected) and bench.conditions() == [SAMPLED] * len(expected)

    bench.pass_until(lambda: is_so(first, last))
    assert bench.clock.now >= 1000 + 10
    bench.pass_scans(2)
    assert uuids(bench) == [first, last]
    bench.pass_until(lambda: is_so(first, middle, last))
    assert bench.clock.now >= 1000 + 60
    assert bench.nvml.calls["nvmlInit"] == 3
    assert all(has_values)


def watched(bench: SupervisorBench, function: str, has_values: list[bool]) -> Callable[..., Any]:
    """Return a function that takes its time, and notes at each call whether GPU 0 has its values meanwhile."""

    def call(*args: Any) -> Any:
        time.sleep(2 * INTERVAL_S)
        has_values.append(bench.values(0).keys() >= FIELDS)
        return getattr(bench.mock, function)(*args)

    return call


def test_a_driver_that_is_reloaded_is_read_again_under_its_new_version(make: Make) -> None:
    bench = make(TWO + "\nfaults: [{kind: driver-reload, at_s: 10, for_s: 20, driver: '590.10'}]")
    bench.supervisor.follow(plan({*FIELDS, VERSION}, CATALOGUE))
    bench.asks_mock_for_pci = True
    bench.start(SAMPLED, SAMPLED)
    assert bench.values(0)[VERSION] == "580.159.04"
    known = uuids(bench)
    bench.sound = ()
    bench.pass_until(lambda: "kernel module is not loaded" in bench.supervisor.trouble())
    assert not bench.supervisor.nvml_works()
    bench.pass_until(lambda: all(bench.values(index).get(VERSION) == "590.10" for index in (0, 1)))
    bench.become(SAMPLED, SAMPLED)
    assert uuids(bench) == known
    assert bench.supervisor.trouble() == ""


def test_a_driver_that_was_away_for_long_is_read_as_soon_as_it_has_gpus_again(make: Make) -> None:
    away_s = 100
    bench = make(TWO + f"\nfaults: [{{kind: driver-reload, at_s: 10, for_s: {away_s}}}]")
    bench.asks_mock_for_pci = True
    bench.start(SAMPLED, SAMPLED)
    bench.sound = ()
    bench.pass_until(lambda: "kernel module is not loaded" in bench.supervisor.trouble())
    bench.pass_until(lambda: bench.clock.now > 1000 + away_s - 5)
    bench.clock.advance(1000 + 10 + away_s - bench.clock.now)
    until(lambda: bench.conditions() == [SAMPLED, SAMPLED], what="no more time passes")


def test_a_gpu_that_is_added_is_sampled(make: Make) -> None:
    bench = make("gpus: [{profile: h100-sxm}, {profile: h100-sxm, faults: [{kind: unbound, at_s: 0, until_s: 20}]}]")
    bench.asks_mock_for_pci = True
    bench.start(SAMPLED)
    bench.sound = ()
    bench.become(SAMPLED, SAMPLED)
    assert bench.clock.now >= 1000 + 20


def test_gpus_that_are_let_go_are_asked_nothing_until_they_are_taken_again(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    bench = make("gpus: [{profile: h100-sxm, faults: [{kind: xid, at_s: 2, code: 31}]}, {profile: h100-sxm}]")
    bench.start(SAMPLED, SAMPLED)
    bench.pass_until(lambda: bench.values(0)["DCGM_FI_DEV_XID_ERROR"] == 31)
    bench.sound = ()
    bench.supervisor.let_go()
    bench.become(RELEASED, RELEASED)
    let_go_at = bench.clock.now
    until(lambda: bench.nvml.calls["nvmlShutdown"] == 1)
    assert [state.snapshot for state in bench.supervisor.states()] == [None, None]
    until(lambda: bench.supervisor.trouble() == LET_GO)
    assert (bench.supervisor.has_let_go(), bench.supervisor.nvml_works()) == (True, False)
    assert bench.supervisor.holdable() == ()
    until(lambda: threads_of("gpu-0") == 0)
    assert bench.failures.totals()["all", Reason.RELEASED] == 2
    calls = bench.nvml.calls.total()
    bench.pass_until(lambda: bench.clock.now > let_go_at + 30)
    assert bench.nvml.calls.total() == calls
    assert caplog.messages.count(LET_GO) == 1
    bench.supervisor.take_again()
    bench.become(SAMPLED, SAMPLED)
    assert bench.supervisor.trouble() == ""
    assert (bench.supervisor.has_let_go(), bench.supervisor.nvml_works()) == (False, True)
    assert bench.values(0)["DCGM_FI_DEV_XID_ERROR"] == 31
    assert bench.nvml.calls["nvmlInit"] == 2


def test_gpus_are_let_go_only_when_every_call_has_returned_and_it_is_said_until_then(make: Make) -> None:
    bench = make("gpus: [{profile: h100-sxm, faults: [{kind: hang, at_s: 5, for_s: 40}]}, {profile: h100-sxm}]")
    bench.start(SAMPLED, SAMPLED)
    bench.sound = (1,)
    bench.become(HANGING, SAMPLED)
    bench.sound = ()
    bench.supervisor.let_go()
    bench.pass_until(lambda: "an NVML call has not returned" in bench.supervisor.trouble())
    assert bench.nvml.calls["nvmlShutdown"] == 0
    bench.become(RELEASED, RELEASED)
    assert bench.supervisor.trouble() == LET_GO
    assert bench.nvml.calls["nvmlShutdown"] == 1


def test_gpus_that_are_let_go_before_they_were_found_are_found_later(make: Make) -> None:
    bench = make()
    bench.supervisor.let_go()
    bench.supervisor.start()
    until(lambda: bench.supervisor.trouble() == LET_GO)
    bench.pass_until(lambda: bench.clock.now > 1000 + 30)
    assert bench.nvml.calls.total() == 0
    bench.supervisor.take_again()
    bench.become(SAMPLED, SAMPLED)
