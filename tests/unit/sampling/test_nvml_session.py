"""NVML as a whole: it is not there, hangs, fails to count, and is started anew when nobody is in a call."""

import threading
from typing import Any

import pynvml
import pytest

from exporter.model import Reason
from tests.unit.faulty_nvml import failing
from tests.unit.sampling.supervisor_bench import HANGING, LOST, SAMPLED, TWO, Make
from tests.waiting import PATIENCE_S, until


def test_a_count_that_can_not_be_is_told_and_costs_no_gpu_that_answers(make: Make) -> None:
    bench = make()
    bench.start(SAMPLED, SAMPLED)
    bench.nvml.replaced["nvmlDeviceGetCount"] = lambda: 0xFFFFFFFF
    bench.pass_until(lambda: bench.supervisor.trouble() == "NVML can't count the GPUs: out_of_range")
    assert bench.conditions() == [SAMPLED, SAMPLED]
    del bench.nvml.replaced["nvmlDeviceGetCount"]
    bench.pass_until(lambda: bench.supervisor.trouble() == "")


def test_a_count_that_fails_costs_no_gpu_that_answers(make: Make) -> None:
    bench = make()
    bench.start(SAMPLED, SAMPLED)
    bench.nvml.replaced["nvmlDeviceGetCount"] = failing(pynvml.NVML_ERROR_UNKNOWN)
    bench.pass_scans(3)
    assert bench.supervisor.trouble() == "NVML can't count the GPUs: unknown"
    assert bench.conditions() == [SAMPLED, SAMPLED]
    assert bench.supervisor.nvml_works(), "a GPU that is sampled shows it"
    bench.nvml.replaced.clear()
    bench.pass_until(lambda: bench.supervisor.trouble() == "")
    assert bench.nvml.calls["nvmlDeviceRegisterEvents"] == 2, "the workers are the same"


def test_when_all_gpus_are_lost_nvml_is_started_anew_ever_less_often(make: Make) -> None:
    bench = make("gpus: [{profile: h100-sxm, faults: [{kind: lost, at_s: 10}]}]")
    bench.start(SAMPLED)
    bench.sound = ()
    started: list[float] = []
    bench.nvml.replaced["nvmlInit"] = lambda: started.append(bench.clock.now) or bench.mock.nvmlInit()  # type: ignore[func-returns-value]
    bench.become(LOST)
    bench.pass_until(lambda: len(started) >= 6)
    assert started[5] >= 1010 + 1 + 2 + 4 + 8 + 16, "a start that is late makes the next pause look short"
    assert bench.nvml.calls["nvmlShutdown"] >= 6
    bench.mock.machine.mend(bench.mock.machine.gpus[0])
    bench.become(SAMPLED)


@pytest.mark.parametrize("function", ["nvmlInit", "nvmlDeviceGetCount"])
def test_a_call_on_nvml_as_a_whole_that_hangs_is_said_and_gpus_are_watched_meanwhile(
    make: Make, caplog: pytest.LogCaptureFixture, function: str
) -> None:
    bench = make("gpus: [{profile: h100-sxm, faults: [{kind: hang, at_s: 10}]}, {profile: h100-sxm}]")
    released, hanging = threading.Event(), threading.Event()
    real = getattr(bench.mock, function)

    def hang(*args: Any) -> Any:
        hanging.set()
        released.wait(PATIENCE_S)
        return real(*args)

    if function == "nvmlInit":
        bench.nvml.replaced[function] = hang
        bench.supervisor.start()
    else:
        bench.start(SAMPLED, SAMPLED)
        bench.sound = (1,)
        bench.nvml.replaced[function] = hang
    bench.pass_until(hanging.is_set)
    bench.pass_until(lambda: function in bench.supervisor.trouble())
    assert [m for m in caplog.messages if function in m] == [bench.supervisor.trouble()]
    if function == "nvmlDeviceGetCount":
        bench.become(HANGING, SAMPLED)
        bench.pass_until(lambda: bench.failures.totals().get(("all", Reason.TIMEOUT)) == 1)
        assert [m for m in caplog.messages if m.startswith("GPU 0")]
    released.set()
    bench.pass_until(lambda: bench.supervisor.trouble() == "")


def test_an_nvml_that_is_not_there_is_tried_again_ever_less_often_until_it_is(make: Make) -> None:
    bench = make(nvmlInit=failing(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND))
    bench.supervisor.start()
    bench.pass_until(lambda: bench.nvml.calls["nvmlInit"] >= 6)
    assert bench.clock.now - 1000 >= 1 + 2 + 4 + 8 + 16
    assert "libnvidia-ml.so.1 was not found" in bench.supervisor.trouble()
    assert not bench.supervisor.listed()
    assert bench.supervisor.watching()
    bench.nvml.replaced.clear()
    bench.become(SAMPLED, SAMPLED)
    assert bench.supervisor.listed()
    assert bench.supervisor.trouble() == ""


def test_a_machine_without_gpus_is_told_and_looked_at_again(make: Make) -> None:
    bench = make(nvmlDeviceGetCount=lambda: 0)
    bench.supervisor.start()
    until(lambda: "NVML finds no GPU" in bench.supervisor.trouble())
    assert bench.supervisor.states() == ()
    bench.nvml.replaced.clear()
    bench.become(SAMPLED, SAMPLED)


def test_a_driver_that_goes_and_comes_back_is_followed(make: Make) -> None:
    bench = make()
    bench.start(SAMPLED, SAMPLED)
    bench.sound = ()
    gone = failing(pynvml.NVML_ERROR_DRIVER_NOT_LOADED)
    bench.nvml.replaced |= dict.fromkeys(("nvmlInit", "nvmlDeviceGetCount", "nvmlDeviceGetTemperature"), gone)
    bench.pass_until(lambda: "kernel module is not loaded" in bench.supervisor.trouble())
    assert bench.conditions() == [LOST, LOST]
    bench.nvml.replaced.clear()
    bench.become(SAMPLED, SAMPLED)
    assert bench.supervisor.trouble() == ""


def test_nvml_is_not_ended_while_a_call_hangs(make: Make) -> None:
    bench = make("gpus: [{profile: h100-sxm, faults: [{kind: hang, at_s: 10}]}, {profile: h100-sxm}]")
    bench.start(SAMPLED, SAMPLED)
    bench.sound = (1,)
    bench.become(HANGING, SAMPLED)
    bench.pci = frozenset({"0000:1b:00.0", "0000:43:00.0"})
    bench.nvml.replaced["nvmlDeviceGetCount"] = failing(pynvml.NVML_ERROR_UNKNOWN)
    bench.pass_until(lambda: "can't count" in bench.supervisor.trouble())
    del bench.nvml.replaced["nvmlDeviceGetCount"]
    bench.pass_until(lambda: bench.supervisor.trouble() == "")
    bench.pass_scans(2)
    assert bench.conditions() == [HANGING, SAMPLED]
    assert bench.nvml.calls["nvmlShutdown"] == 0
    assert bench.nvml.calls["nvmlDeviceRegisterEvents"] == 2, "the sound GPU's worker goes on"
    bench.mock.release_hangs()
    bench.sound = ()
    bench.pass_until(lambda: bench.nvml.calls["nvmlShutdown"] == 1)
    bench.become(SAMPLED, SAMPLED)


def test_gpus_that_are_added_to_the_machine_are_found_by_starting_nvml_anew(make: Make) -> None:
    bench = make()
    bench.nvml.replaced["nvmlDeviceGetCount"] = lambda: bench.nvml.calls["nvmlInit"]
    bench.start(SAMPLED)
    bench.pass_scans(2)
    assert bench.conditions() == [SAMPLED]
    bench.sound = ()
    bench.pci = frozenset({"0000:1b:00.0", "0000:43:00.0"})
    bench.become(SAMPLED, SAMPLED)
    assert (bench.nvml.calls["nvmlInit"], bench.nvml.calls["nvmlShutdown"]) == (2, 1)


def test_a_list_of_the_machines_gpus_that_can_not_be_read_changes_nothing(make: Make) -> None:
    """As where no file descriptor is left: NVML that is ended then does not start again."""
    bench = make()
    bench.start(SAMPLED, SAMPLED)
    bench.pci = None
    bench.pass_scans(2)
    bench.pci = frozenset({"0000:1b:00.0"})
    bench.pass_scans(2)
    assert bench.conditions() == [SAMPLED, SAMPLED]
    assert bench.nvml.calls["nvmlShutdown"] == 0


def test_an_nvml_that_may_not_be_used_or_is_not_there_is_said_until_it_is(make: Make) -> None:
    bench = make(f"{TWO}\nfaults: [{{kind: missing, at_s: 0, until_s: 9}}, {{kind: denied, at_s: 9, until_s: 60}}]")
    bench.supervisor.start()
    bench.pass_until(lambda: "libnvidia-ml.so.1 was not found" in bench.supervisor.trouble())
    bench.pass_until(lambda: "this user can't open" in bench.supervisor.trouble())
    bench.become(SAMPLED, SAMPLED)
    assert bench.supervisor.trouble() == ""
