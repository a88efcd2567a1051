"""Looks at GPUs: what they find when a GPU hangs or fails in them, or its MIG devices have changed."""

import logging
import threading
from dataclasses import replace
from typing import Any

import pynvml
import pytest

from exporter.model import DeviceSnapshot, GpuState
from exporter.sampling.slot import ASK_AGAIN_S
from tests.unit.faulty_nvml import failing
from tests.unit.sampling.supervisor_bench import FIELDS, HANGING, LOST, SAMPLED, STARTING, Make
from tests.waiting import until


def test_a_gpu_that_hangs_when_it_is_first_looked_at_keeps_no_other_one_waiting(make: Make) -> None:
    bench = make("gpus: [{profile: h100-sxm, faults: [{kind: hang, at_s: 0, for_s: 20}]}, {profile: h100-sxm}]")
    bench.supervisor.start()
    until(lambda: bench.nvml.calls["nvmlDeviceGetHandleByIndex"] == 2)
    bench.clock.advance(0.1)
    until(lambda: bench.conditions() == [STARTING, SAMPLED])
    assert bench.state(0).gpu is None
    bench.sound = (1,)
    bench.become(HANGING, SAMPLED)
    assert bench.state(0) == GpuState(0, None, HANGING, None)
    bench.pass_scans(2)
    assert [thread.name for thread in threading.enumerate()].count("look-0") == 1, "it is not looked at twice"
    bench.become(SAMPLED, SAMPLED)
    assert bench.clock.now >= 1000 + 20


def test_what_a_look_finds_after_nvml_was_ended_is_not_used(make: Make) -> None:
    bench = make("gpus: [{profile: h100-sxm, faults: [{kind: hang, at_s: 0, for_s: 20}]}, {profile: h100-sxm}]")
    bench.supervisor.start()
    bench.become(STARTING, SAMPLED)
    gone = failing(pynvml.NVML_ERROR_UNINITIALIZED)
    bench.nvml.replaced |= {"nvmlDeviceGetCount": gone, "nvmlDeviceGetTemperature": gone}
    bench.pass_until(lambda: "can't count" in bench.supervisor.trouble())
    assert bench.nvml.calls["nvmlShutdown"] == 0
    bench.pass_until(lambda: bench.nvml.calls["nvmlShutdown"] > 0)
    assert bench.clock.now >= 1000 + 20
    bench.nvml.replaced.clear()
    bench.become(SAMPLED, SAMPLED)
    assert bench.values(0).keys() == bench.values(1).keys() >= FIELDS


def test_a_gpu_that_is_lost_from_the_start_is_told_once(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    bench = make("gpus: [{profile: h100-sxm}, {profile: h100-sxm, faults: [{kind: lost, at_s: 0}]}]")
    bench.start(SAMPLED, LOST)
    bench.pass_scans(3)
    assert [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR] == [
        "GPU 1 is not responding: gpu_lost"
    ]


@pytest.mark.parametrize("getter", ["nvmlDeviceGetUUID", "nvmlDeviceGetMigMode"])
def test_a_gpu_whose_identity_can_not_be_read_is_lost_alone_and_does_not_hang(
    make: Make, caplog: pytest.LogCaptureFixture, getter: str
) -> None:
    """The driver may also give up on a call: that call has returned."""
    bench = make()
    real = getattr(bench.mock, getter)
    bench.mock.nvmlInit()
    second = bench.mock.nvmlDeviceGetHandleByIndex(1)

    def giving_up(handle: object) -> object:
        return real(handle) if handle != second else failing(pynvml.NVML_ERROR_TIMEOUT)()

    bench.nvml.replaced[getter] = giving_up
    bench.start(SAMPLED, LOST)
    assert not any("not return" in record.getMessage() for record in caplog.records)
    bench.nvml.replaced[getter] = lambda handle: real(handle) if handle != second else object()
    bench.pass_scans(2)
    assert bench.conditions()[0] is SAMPLED
    assert not any(record.exc_info for record in caplog.records)


def test_a_look_that_fails_without_a_loss_changes_nothing(make: Make) -> None:
    bench = make()
    bench.start(SAMPLED, SAMPLED)
    bench.nvml.replaced["nvmlDeviceGetUUID"] = failing(pynvml.NVML_ERROR_UNKNOWN)
    bench.pass_scans(3)
    assert bench.conditions() == [SAMPLED, SAMPLED]
    assert bench.nvml.calls["nvmlDeviceRegisterEvents"] == 2, "the workers are the same"


def test_a_change_of_mig_that_the_driver_reports_is_looked_at_before_the_next_scan(make: Make) -> None:
    bench = make()
    bench.start(SAMPLED, SAMPLED)
    looked_at = bench.record("nvmlDeviceGetHandleByIndex")
    events = [pynvml.c_nvmlEventData_t(eventType=pynvml.nvmlEventMigConfigChange, gpuInstanceId=0xFFFFFFFF)]
    silent = failing(pynvml.NVML_ERROR_TIMEOUT)
    bench.nvml.replaced["nvmlEventSetWait_v2"] = lambda *_: events.pop() if events else silent()
    until(lambda: {(0,), (1,)} <= set(looked_at), what="no time passes, so no scan is due")


def test_a_changed_mig_layout_gets_a_new_worker_and_other_gpus_keep_theirs(make: Make) -> None:
    bench = make("gpus: [{profile: a100-sxm, mig: [3g.40gb, 2g.20gb]}, {profile: a100-sxm, mig: [3g.40gb]}]")
    bench.start(SAMPLED, SAMPLED)
    divided = bench.nvml.nvmlDeviceGetHandleByIndex(0)
    real = bench.nvml.nvmlDeviceGetMigDeviceHandleByIndex

    def without_second(handle: Any, index: int) -> Any:
        if handle is divided and index == 1:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        return real(handle, index)

    assert bench.instances(0) == 2
    bench.nvml.replaced["nvmlDeviceGetMigDeviceHandleByIndex"] = without_second
    bench.sound = (1,)
    bench.pass_until(lambda: bench.instances(0) == 1)
    assert bench.nvml.calls["nvmlDeviceRegisterEvents"] == 3
    assert bench.nvml.calls["nvmlEventSetFree"] == 1
    assert bench.instances(1) == 1


def test_mig_devices_that_go_and_come_cost_no_other_gpu_anything(make: Make) -> None:
    fault = "{kind: mig, at_s: 20, for_s: 20, devices: [0]}"
    bench = make(f"gpus: [{{profile: a100-sxm, mig: [3g.40gb, 2g.20gb], faults: [{fault}]}}, {{profile: a100-sxm}}]")
    bench.start(SAMPLED, SAMPLED)
    assert bench.instances(0) == 2
    bench.sound = (1,)
    bench.pass_until(lambda: bench.instances(0) == 1)
    assert bench.clock.now >= 1020
    bench.pass_until(lambda: bench.instances(0) == 2)
    assert bench.clock.now >= 1040


def test_an_instance_that_is_made_again_in_its_place_is_read_by_its_new_handle(make: Make) -> None:
    bench = make("gpus: [{profile: a100-sxm, mig: [3g.40gb, 2g.20gb]}]")
    bench.start(SAMPLED)
    (gpu,) = bench.mock.machine.gpus
    bench.mock.redivide(gpu, tuple(replace(instance) for instance in gpu.instances), reuses_handles=False)
    made_at = bench.clock.now
    bench.pass_until(lambda: (s := bench.state(0).snapshot) is not None and s.taken > made_at and _has_memory(s, 2))


def _has_memory(snapshot: DeviceSnapshot, entities: int) -> bool:
    return [sample.field for sample in snapshot.samples].count("DCGM_FI_DEV_FB_USED") == entities


def test_utilization_comes_back_when_mig_is_switched_off(make: Make) -> None:
    bench = make("gpus: [{profile: a100-sxm}]")
    bench.mock.machine.gpus[0].is_mig_on = True
    bench.start(SAMPLED)
    assert "DCGM_FI_DEV_GPU_UTIL" not in bench.values(0)
    bench.mock.machine.gpus[0].is_mig_on = False
    bench.pass_until(lambda: "DCGM_FI_DEV_GPU_UTIL" in bench.values(0))
    assert bench.clock.now - 1000 < ASK_AGAIN_S
