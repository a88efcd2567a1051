"""The closed loop: pods that hold GPUs share a demand, and ring, GPM, energy and instant value show each one's part."""

import math
import threading
import time
from typing import Any

import pynvml
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.mock import MockNvml
from exporter.mock.machine.scenario import ScenarioContainer, ScenarioDevice, ScenarioPod
from tests.unit.fake_clock import FakeClock
from tests.unit.mock_machines import energy_of, field, gpm, gpm_sample, scenario, started

RING_S = 15
BUSY = pynvml.NVML_GPM_METRIC_GRAPHICS_UTIL

SERVICE = """
demands: {inference: {gpus: 3.0, pods: {namespace: prod, name: "llm-.*"}}}
gpus: [{profile: h100-sxm, count: 8, load: {kind: demand, name: inference}}]
"""


def pod(name: str, *gpus: int, namespace: str = "prod", replica: int | None = None) -> ScenarioPod:
    devices = tuple(ScenarioDevice(gpu, replica=replica) for gpu in gpus)
    return ScenarioPod(namespace, name, (ScenarioContainer("main", devices),))


def replicas(count: int) -> tuple[ScenarioPod, ...]:
    return tuple(pod(f"llm-{number}", number) for number in range(count))


def handles(nvml: MockNvml) -> list[Any]:
    return [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]


def instant(nvml: MockNvml) -> list[int]:
    return [nvml.nvmlDeviceGetUtilizationRates(gpu).gpu for gpu in handles(nvml)]


def ring_mean(nvml: MockNvml, gpu: Any, since_us: int = 0) -> float:
    _, samples = nvml.nvmlDeviceGetSamples(gpu, pynvml.NVML_GPU_UTILIZATION_SAMPLES, since_us)
    return math.fsum(sample.sampleValue.uiVal for sample in samples) / len(samples)


def after_a_while(nvml: MockNvml, clock: FakeClock) -> list[int]:
    clock.advance(1)
    return instant(nvml)


def test_a_demand_of_three_gpus_keeps_one_to_six_pods_busy_as_ring_gpm_and_instant_value_say(clock: FakeClock) -> None:
    nvml = started(scenario(SERVICE), clock)
    gpus = handles(nvml)
    for count, busy in ((1, 100), (2, 100), (3, 100), (4, 75), (5, 60), (6, 50)):
        nvml.machine.set_pods(replicas(count))
        clock.advance(RING_S)
        older = [gpm_sample(nvml, gpu) for gpu in gpus]
        clock.advance(1)
        pairs = zip(older, (gpm_sample(nvml, gpu) for gpu in gpus), strict=True)
        expected = [pytest.approx(busy, abs=2)] * count + [0] * (8 - count)
        assert instant(nvml) == expected
        assert [ring_mean(nvml, gpu) for gpu in gpus] == expected
        assert [gpm(nvml, old, new, BUSY)[0] for old, new in pairs] == expected


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.floats(0.3, 8), st.integers(0, 8), st.floats(0, 10)), min_size=1, max_size=8))
def test_ring_gpm_and_energy_agree_with_each_other_whatever_changes(changes: list[tuple[float, int, float]]) -> None:
    clock = FakeClock()
    nvml = started(scenario(SERVICE), clock)
    gpu = nvml.nvmlDeviceGetHandleByIndex(0)
    older, energy_mj = gpm_sample(nvml, gpu), energy_of(nvml, gpu)
    true_s, whole_s = 0.0, 0.0
    for wait_s, count, demand in changes:
        nvml.machine.set_pods(replicas(count))
        nvml.machine.set_demand("inference", demand)
        clock.advance(wait_s)
        whole_s += wait_s
        true_s += wait_s * min(1.0, demand / count) if count else 0.0
    mean = true_s / whole_s
    assert gpm(nvml, older, gpm_sample(nvml, gpu), BUSY)[0] == pytest.approx(99.0197 * mean, abs=1e-3)
    grown_mj = energy_of(nvml, gpu) - energy_mj
    assert grown_mj == pytest.approx((74134 + (667319 - 74134) * mean) * whole_s, rel=0.01)
    clock.advance(0.2)  # the sample in which the last second ended
    _, samples = nvml.nvmlDeviceGetSamples(gpu, pynvml.NVML_GPU_UTILIZATION_SAMPLES, 0)
    covered_s = 0.2 * len(samples)
    newest_s = samples[-1].timeStamp / 1e6 - 1_800_000_000
    activity = nvml.machine.gpus[0].drive.activity
    true_mean = 100 * activity.integral(newest_s - covered_s, newest_s) / covered_s
    assert math.fsum(s.sampleValue.uiVal for s in samples) / len(samples) == pytest.approx(true_mean, abs=1)


def test_a_demand_can_be_raised_while_it_is_served(clock: FakeClock) -> None:
    nvml = started(scenario(SERVICE), clock)
    nvml.machine.set_pods(replicas(4))
    assert after_a_while(nvml, clock)[:4] == [75] * 4
    nvml.machine.set_demand("inference", 1)
    assert after_a_while(nvml, clock)[:4] == [25] * 4
    nvml.machine.set_demand("inference", 0)
    assert after_a_while(nvml, clock) == [0] * 8


def test_a_demand_with_a_period_comes_in_bursts_that_rings_and_gpm_see_whole(clock: FakeClock) -> None:
    nvml = started(scenario(SERVICE.replace("gpus: 3.0,", "gpus: 3.0, period_s: 1,")), clock)
    nvml.machine.set_pods(replicas(4))
    clock.advance(20.7)
    gpu = nvml.nvmlDeviceGetHandleByIndex(0)
    seen, older = set(), gpm_sample(nvml, gpu)
    for _ in range(10):
        clock.advance(0.4)
        seen.add(instant(nvml)[0])
    assert seen >= {0, 100}
    assert ring_mean(nvml, gpu) == pytest.approx(75, abs=2)
    assert gpm(nvml, older, gpm_sample(nvml, gpu), BUSY)[0] == pytest.approx(75, abs=1)


def test_only_pods_that_the_demand_is_for_take_part(clock: FakeClock) -> None:
    nvml = started(scenario(SERVICE), clock)
    others = (pod("llm-9", 4, namespace="test"), pod("my-llm-1", 5), pod("web", 6))
    nvml.machine.set_pods((*replicas(4), *others))
    assert after_a_while(nvml, clock) == [75] * 4 + [0] * 4


def test_a_pod_with_several_gpus_keeps_all_of_them_busy(clock: FakeClock) -> None:
    nvml = started(scenario(SERVICE), clock)
    nvml.machine.set_pods((pod("llm-0", 0, 1, 2), pod("llm-1", 7)))
    assert after_a_while(nvml, clock) == [75, 75, 75, 0, 0, 0, 0, 75]


def test_pods_that_share_a_gpu_add_no_capacity_and_a_stranger_takes_its_part_away(clock: FakeClock) -> None:
    nvml = started(scenario(SERVICE), clock)
    nvml.machine.set_demand("inference", 1.2)
    sharing = (pod("llm-0", 0, replica=0), pod("llm-1", 0, replica=1), pod("llm-2", 1))
    nvml.machine.set_pods(sharing)
    assert after_a_while(nvml, clock)[:3] == [60, 60, 0]
    nvml.machine.set_pods((*sharing, pod("web", 1)))  # half of GPU 1 is left for llm-2: 1.5 GPUs in all
    assert after_a_while(nvml, clock)[:3] == [80, 40, 0]
    nvml.machine.set_demand("inference", 9)
    assert after_a_while(nvml, clock)[:3] == [100, 50, 0]


def test_mig_instances_count_as_their_part_of_a_gpu(clock: FakeClock) -> None:
    nvml = started(
        scenario("""
        demands: {inference: {gpus: 0.5}}
        gpus: [{profile: h100-sxm, load: {kind: demand}, mig: [4g.40gb, {profile: 3g.40gb, compute: [1, 2]}]}]
        pods: [{namespace: a, name: x, containers: [{gpus: [{gpu: 0, mig: 0}]}]}]
        """),
        clock,
    )
    gpu = nvml.nvmlDeviceGetHandleByIndex(0)
    ids = [nvml.nvmlDeviceGetGpuInstanceId(nvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, index)) for index in range(3)]
    assert ids == [1, 2, 2]

    def busy() -> list[float]:
        def samples() -> list[Any]:
            return [nvml.nvmlGpmMigSampleGet(gpu, gi, nvml.nvmlGpmSampleAlloc()) for gi in (1, 2)]

        older = samples()
        clock.advance(1)
        return [gpm(nvml, old, new, BUSY)[0] / 99.01965 for old, new in zip(older, samples(), strict=True)]

    assert busy() == pytest.approx([0.5 / (4 / 7), 0], abs=1e-3)
    two = ScenarioContainer("main", (ScenarioDevice(0, mig=0), ScenarioDevice(0, mig=2)))
    nvml.machine.set_pods((ScenarioPod("a", "x", (two,)),))  # 4 + 2 of 7 slices; the 3g's other compute instance idles
    intensity = 0.5 / (6 / 7)
    assert busy() == pytest.approx([intensity, intensity * 2 / 3], abs=1e-3)


def test_several_demands_on_one_gpu_add_up_to_a_busy_gpu_at_the_most(clock: FakeClock) -> None:
    nvml = started(
        scenario("""
        demands: {chat: {gpus: 0.5, pods: {name: chat|both}}, search: {gpus: 0.3, pods: {name: search|both}}}
        gpus: [{profile: t4, load: {kind: demand}}, {profile: t4, load: {kind: demand, name: search}}]
        pods:
          - {namespace: a, name: chat, containers: [{gpus: [{gpu: 0, replica: 0}]}]}
          - {namespace: a, name: search, containers: [{gpus: [{gpu: 0, replica: 1}]}]}
        """),
        clock,
    )
    assert after_a_while(nvml, clock) == [80, 0]
    nvml.machine.set_demand("chat", 9)
    nvml.machine.set_demand("search", 9)
    assert after_a_while(nvml, clock) == [100, 0]
    nvml.machine.set_pods((pod("both", 0),))
    assert after_a_while(nvml, clock) == [100, 0]


def test_the_scenarios_own_pods_take_part_from_before_the_start(clock: FakeClock) -> None:
    held = "pods: [{namespace: prod, name: llm-a, containers: [{gpus: [0, 1, 2, 3]}]}]"
    nvml = started(scenario(SERVICE + held), clock)
    assert instant(nvml)[:5] == [75, 75, 75, 75, 0]
    assert ring_mean(nvml, nvml.nvmlDeviceGetHandleByIndex(0)) == 75


def test_who_holds_what_may_be_said_by_someone_else(clock: FakeClock) -> None:
    held = "pods: [{namespace: prod, name: llm-a, containers: [{gpus: [7]}]}]"
    nvml = started(scenario(SERVICE + held), clock)
    uuids = [nvml.nvmlDeviceGetUUID(gpu) for gpu in handles(nvml)]
    told = {uuids[0]: frozenset({("prod", "llm-x")}), "GPU-elsewhere": frozenset({("prod", "llm-y")})}
    nvml.follow(lambda: told)
    assert after_a_while(nvml, clock) == [100] + [0] * 7
    told |= {uuid: frozenset({("prod", f"llm-{uuid}")}) for uuid in uuids[1:6]}
    assert (
        instant(nvml) == [100] + [0] * 7
    )  # a change is seen at the next call, and the instant value is the last 0.2 s
    assert after_a_while(nvml, clock) == [50] * 6 + [0] * 2
    told.clear()
    nvml.machine.tick()
    assert after_a_while(nvml, clock) == [0] * 8


def test_a_gpu_whose_level_is_forced_leaves_its_part_to_the_others_until_it_is_let_go(clock: FakeClock) -> None:
    nvml = started(scenario(SERVICE), clock)
    nvml.machine.set_pods(replicas(4))
    forced = nvml.machine.gpus[0].drive
    nvml.machine.set_level(forced, 0.1)
    assert after_a_while(nvml, clock)[:4] == [10, 100, 100, 100]
    nvml.machine.set_demand("inference", 1.5)
    assert after_a_while(nvml, clock)[:4] == [10, 50, 50, 50]
    nvml.machine.set_level(forced, None)
    assert after_a_while(nvml, clock)[:4] == pytest.approx([37.5] * 4, abs=0.5)


@settings(max_examples=10, deadline=None)
@given(st.lists(st.tuples(st.floats(0.1, 5), st.integers(0, 8), st.floats(0, 10)), min_size=1, max_size=5))
def test_the_same_changes_at_the_same_times_give_the_same_series(changes: list[tuple[float, int, float]]) -> None:
    def series(asked_between: bool) -> list[tuple[object, ...]]:
        clock = FakeClock()
        nvml = started(scenario(f"seed: 5\n{SERVICE}"), clock)
        for wait_s, count, demand in changes:
            clock.advance(wait_s / 2)
            if asked_between:
                instant(nvml)
            clock.advance(wait_s / 2)
            nvml.machine.set_pods(replicas(count))
            nvml.machine.set_demand("inference", demand)
        clock.advance(1)
        return [
            (nvml.nvmlDeviceGetUUID(gpu), ring_mean(nvml, gpu), *field(nvml, gpu, 83, pynvml.NVML_FI_DEV_POWER_INSTANT))
            for gpu in handles(nvml)
        ]

    assert series(asked_between=False) == series(asked_between=True)


def test_a_gpu_that_follows_no_demand_stays_as_it_is(clock: FakeClock) -> None:
    nvml = started(scenario("demands: {d: {gpus: 9}}\ngpus: [{profile: t4, load: 30}]"), clock)
    nvml.machine.set_pods((pod("a", 0),))
    assert after_a_while(nvml, clock) == [30]


def test_readers_in_threads_of_their_own_go_on_while_pods_and_demand_change() -> None:
    nvml = started(scenario(SERVICE), time)
    reads: dict[int, int] = dict.fromkeys(range(4), 0)
    done = threading.Event()

    def read(index: int) -> None:
        gpu = nvml.nvmlDeviceGetHandleByIndex(index)
        while not done.wait(0.001):
            assert 0 <= ring_mean(nvml, gpu) <= 100
            reads[index] += 1

    readers = [threading.Thread(target=read, args=(index,), daemon=True) for index in reads]
    for reader in readers:
        reader.start()
    for number in range(1000):
        nvml.machine.set_pods(replicas(number % 9))
        nvml.machine.set_demand("inference", number % 7)
    done.set()
    for reader in readers:
        reader.join(10)
    assert all(reads.values())  # an assertion that fails in a thread is a warning, and those are errors here
