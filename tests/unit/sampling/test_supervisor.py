"""Which GPUs are watched, that all ends when it is asked to, and that a new plan reaches every worker."""

import logging
import threading
import time
from typing import Any

import pynvml
import pytest

from exporter.catalogue import CATALOGUE
from exporter.sampling.plan import plan
from tests.unit.sampling.supervisor_bench import HANGING, LOST, SAMPLED, Make
from tests.waiting import until


def test_every_gpu_is_sampled_and_the_states_come_in_nvmls_order(make: Make) -> None:
    bench = make("gpus: [{profile: h100-sxm, count: 4}]")
    bench.start(*[SAMPLED] * 4)
    states = bench.supervisor.states()
    assert [state.index for state in states] == [0, 1, 2, 3]
    assert all(state.gpu and state.snapshot and state.gpu == state.snapshot.gpu for state in states)
    assert bench.supervisor.listed()
    assert bench.supervisor.trouble() == ""


@pytest.mark.parametrize("devices", ["f", "g:1", "i"])
def test_what_pods_can_be_given_is_told_whatever_is_exported(make: Make, devices: str) -> None:
    bench = make("gpus: [{profile: a100-sxm}, {profile: a100-sxm, mig: [3g.40gb, 2g.20gb]}]", devices)
    bench.supervisor.start()
    until(lambda: bool(bench.supervisor.states()))
    found = [(e.gpu.index, e.instance and e.instance.profile) for e in bench.supervisor.holdable()]
    assert found == [(0, None), (1, "3g.40gb"), (1, "2g.20gb")]


def test_a_stop_ends_all_threads_and_then_nvml(make: Make) -> None:
    bench = make()
    bench.start(SAMPLED, SAMPLED)
    bench.supervisor.stop()
    assert not bench.supervisor.watching()
    assert bench.nvml.calls["nvmlEventSetFree"] == 2
    assert bench.nvml.calls["nvmlShutdown"] == 1
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("gpu-", "look-"))]


@pytest.mark.parametrize("function", ["nvmlDeviceGetTemperature", "nvmlDeviceGetHandleByIndex", "nvmlDeviceGetCount"])
def test_a_stop_waits_for_no_call_that_hangs_and_leaves_nvml_as_it_is(make: Make, function: str) -> None:
    bench = make()
    bench.start(SAMPLED, SAMPLED)
    bench.sound = ()
    released = threading.Event()
    hanging = threading.Event()

    def hang(*_: Any) -> Any:
        hanging.set()
        released.wait()
        raise pynvml.NVMLError(pynvml.NVML_ERROR_UNKNOWN)

    bench.nvml.replaced[function] = hang
    bench.pass_until(hanging.is_set)
    began = time.monotonic()
    bench.supervisor.stop()
    took_s = time.monotonic() - began
    released.set()
    assert took_s < 2
    assert bench.nvml.calls["nvmlShutdown"] == 0


def test_texts_that_are_no_utf_8_cost_no_gpu(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    bench = make()
    bad = b"\xf8\x95 580"
    bench.nvml.replaced |= {"nvmlSystemGetDriverVersion": bad.decode, "nvmlDeviceGetName": lambda _: bad.decode()}
    bench.start(SAMPLED, SAMPLED)
    bench.pass_scans(2)
    assert [state.gpu and state.gpu.model for state in bench.supervisor.states()] == ["\ufffd\ufffd 580"] * 2
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING] == []


def test_no_instance_is_numbered_behind_a_gpu_that_is_not_known_yet(make: Make) -> None:
    machine = """
gpus:
  - {profile: a100-sxm, mig: [3g.40gb], faults: [{kind: hang, at_s: 0, for_s: 20}]}
  - {profile: a100-sxm, mig: [2g.20gb, 1g.10gb]}
"""
    bench = make(machine, "i:1")
    bench.supervisor.start()
    bench.become(HANGING)
    assert bench.instances(0) == 0
    bench.become(SAMPLED)
    (instance,) = (entity.instance for entity in bench.state(1).entities)
    assert instance is not None
    assert instance.profile == "2g.20gb"


def test_a_loss_does_not_shift_the_numbers_of_the_instances_behind_it(make: Make) -> None:
    bench = make(
        """
gpus:
  - {profile: a100-sxm, mig: [3g.40gb, 3g.40gb], faults: [{kind: lost, at_s: 10}]}
  - {profile: a100-sxm, mig: [2g.20gb, 2g.20gb, 2g.20gb]}
""",
        "i:0,2",
    )
    bench.start(SAMPLED, SAMPLED)
    bench.sound = (1,)
    bench.become(LOST, SAMPLED)
    bench.pass_scans(2)
    assert bench.instances(1) == 1
    assert bench.nvml.calls["nvmlDeviceRegisterEvents"] == 2


@pytest.mark.parametrize(("devices", "indices"), [("g:1", [1]), ("g:1,7", [1]), ("i", [])])
def test_only_what_is_selected_has_a_state(make: Make, devices: str, indices: list[int]) -> None:
    bench = make("gpus: [{profile: h100-sxm, faults: [{kind: lost, at_s: 1}]}, {profile: h100-sxm}]", devices)
    bench.supervisor.start()
    until(bench.supervisor.listed)
    bench.pass_scans(2)
    assert [state.index for state in bench.supervisor.states()] == indices


def test_indices_that_nothing_has_are_told_once(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    bench = make(devices="g:0,7,9")
    bench.start(SAMPLED)
    bench.pass_scans(2)
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warnings == ["-d selects indices that do not exist: 7, 9"]


def test_a_new_plan_reaches_every_worker_and_xids_are_remembered(make: Make) -> None:
    bench = make("gpus: [{profile: h100-sxm, faults: [{kind: xid, at_s: 2, code: 31}]}]")
    bench.start(SAMPLED)
    bench.pass_until(lambda: bench.values(0)["DCGM_FI_DEV_XID_ERROR"] == 31)
    bench.supervisor.follow(plan({"DCGM_FI_DEV_XID_ERROR", "DCGM_FI_DEV_SM_CLOCK"}, CATALOGUE))
    until(lambda: "DCGM_FI_DEV_SM_CLOCK" in bench.values(0))
    assert bench.values(0)["DCGM_FI_DEV_XID_ERROR"] == 31
    assert "DCGM_FI_DEV_FB_USED" not in bench.values(0)
