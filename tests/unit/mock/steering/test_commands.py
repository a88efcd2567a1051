import re
import threading
from pathlib import Path

import pynvml
import pytest

from exporter.mock import MockNvml
from exporter.mock.steering.commands import Commands
from tests.unit.fake_clock import FakeClock
from tests.unit.mock.steering.steered import MACHINE, Steered
from tests.unit.mock_machines import scenario


def pod(name: str, *gpus: object) -> dict[str, object]:
    return {"namespace": "prod", "name": name, "containers": [{"gpus": list(gpus)}]}


def test_a_demand_is_raised_and_pods_scale_out_until_each_is_less_busy(steered: Steered) -> None:
    assert steered.busy(0, 1) == [100, 0]
    assert steered.do("PUT", "/demands/inference", {"gpus": 1.5})["demands"]["inference"]["gpus"] == 1.5
    steered.do("POST", "/pods", pod("llm-1", 1))
    assert steered.busy(0, 1) == [75, 75]
    steered.do("DELETE", "/pods/prod/llm-0")
    assert steered.busy(0, 1) == [0, 100]
    assert steered.do("PUT", "/pods", {"pods": []})["pods"] == []
    assert steered.busy(0, 1) == [0, 0]


def test_every_change_of_the_pods_is_told_and_no_other_request(steered: Steered) -> None:
    steered.do("POST", "/pods", pod("web", {"gpu": 3, "mig": 1}))
    steered.do("PUT", "/demands/inference", {"gpus": 2})
    steered.do("GET", "/state")
    steered.refusal("POST", "/pods", pod("web", 1))
    steered.do("DELETE", "/pods/prod/llm-0")
    steered.do("PUT", "/pods", {"pods": [pod("a", 0), pod("b", 1)]})
    assert [[p.name for p in pods] for pods in steered.told] == [["llm-0", "web"], ["web"], ["a", "b"]]
    assert steered.told[-1] == steered.nvml.pods()
    (web,) = steered.told[1]
    assert [*web.containers[0].devices] == ["nvidia.com/mig-1g.10gb"]


def test_a_gpus_load_is_put_in_the_place_of_a_replay_and_taken_back(steered: Steered) -> None:
    steered.clock.advance(14)
    assert steered.busy(2) == [99]
    state = steered.do("PUT", "/gpus/2/load", {"percent": 40})
    assert (state["gpus"][2]["load_percent"], state["gpus"][2]["is_forced"]) == (40, True)
    assert steered.busy(2) == [40]
    state = steered.do("DELETE", "/gpus/2/load")
    assert state["gpus"][2]["is_forced"] is False
    assert steered.busy(2) == [99]


def test_a_mig_instances_load_is_steered_by_its_device(steered: Steered) -> None:
    state = steered.do("PUT", "/gpus/3/mig/1/load", {"percent": 90})
    assert [mig["load_percent"] for mig in state["gpus"][3]["mig"]] == [20, 90]
    state = steered.do("DELETE", "/gpus/3/mig/1/load")
    assert [mig["load_percent"] for mig in state["gpus"][3]["mig"]] == [20, 20]
    assert "GPU 3 is divided by MIG" in steered.refusal("PUT", "/gpus/3/load", {"percent": 90})


def test_a_lost_gpu_comes_back_when_it_should_or_when_it_is_mended(steered: Steered) -> None:
    steered.clock.advance(5)
    state = steered.do("POST", "/gpus/0/faults", {"kind": "lost", "for_s": 10})
    assert state["gpus"][0]["faults"] == [{"kind": "lost", "at_s": 5, "until_s": 15}]
    for wait_s, is_lost in ((0, True), (9.9, True), (0.1, False)):
        steered.clock.advance(wait_s)
        assert lost(steered.nvml, 0) == is_lost
    assert steered.do("POST", "/gpus/0/faults", {"kind": "lost"})["gpus"][0]["faults"][-1]["until_s"] is None
    steered.clock.advance(1e6)
    assert lost(steered.nvml, 0)
    assert not lost(steered.nvml, 1)
    assert steered.do("DELETE", "/gpus/0/faults")["gpus"][0]["faults"] == []
    assert not lost(steered.nvml, 0)


def lost(nvml: MockNvml, index: int) -> bool:
    try:
        nvml.nvmlDeviceGetHandleByIndex(index)
    except pynvml.NVMLError_GpuIsLost:
        return True
    return False


def test_a_hang_begins_with_the_request_and_ends_when_it_is_mended(steered: Steered) -> None:
    gpu = steered.gpu(0)
    steered.do("POST", "/gpus/0/faults", {"kind": "hang", "functions": ["nvmlDeviceGetPowerUsage"]})
    assert steered.busy(0) == [100]
    answers: list[int] = []
    caller = threading.Thread(target=lambda: answers.append(steered.nvml.nvmlDeviceGetPowerUsage(gpu)), daemon=True)
    caller.start()
    caller.join(0.03)
    assert caller.is_alive()
    steered.do("DELETE", "/gpus/0/faults")
    caller.join(10)
    assert len(answers) == 1


def test_an_xid_is_heard_by_whoever_listens_even_at_the_same_moment(steered: Steered) -> None:
    steered.do("POST", "/gpus/0/faults", {"kind": "xid", "code": 31})
    nvml, events = steered.nvml, steered.nvml.nvmlEventSetCreate()
    nvml.nvmlDeviceRegisterEvents(steered.gpu(0), pynvml.nvmlEventTypeXidCriticalError, events)
    with pytest.raises(pynvml.NVMLError_Timeout):
        nvml.nvmlEventSetWait_v2(events, 0)
    steered.do("POST", "/gpus/0/faults", {"kind": "xid", "code": 79})
    steered.do("POST", "/gpus/0/faults", {"kind": "xid", "code": 79})
    assert [nvml.nvmlEventSetWait_v2(events, 0).eventData for _ in range(2)] == [79, 79]
    steered.do("POST", "/gpus/0/faults", {"kind": "xid", "code": 13, "at_s": 100})
    steered.do("DELETE", "/gpus/0/faults")
    steered.clock.advance(200)
    with pytest.raises(pynvml.NVMLError_Timeout):
        nvml.nvmlEventSetWait_v2(events, 0)


@pytest.mark.parametrize(
    ("method", "path", "content", "sentence"),
    [
        ("PUT", "/demands/chat", {"gpus": 1}, "demand 'chat' does not exist; the demands are: inference"),
        ("PUT", "/demands/inference", {"gpus": -1}, "request: gpus: is -1; expected a number from 0"),
        ("PUT", "/demands/inference", {}, "request: gpus: is missing"),
        ("PUT", "/demands/inference", {"gpus": 5, "gpu": 4}, "request: gpu: is not a known key; the keys are gpus"),
        ("PUT", "/demands/inference", [5], "request: is a list; expected a mapping"),
        ("PUT", "/gpus/4/load", {"percent": 1}, "GPU '4' does not exist; the numbers are 0 to 3"),
        ("PUT", "/gpus/-1/load", {"percent": 1}, "GPU '-1' does not exist"),
        ("PUT", "/gpus/0/load", {"percent": 101}, "request: percent: is 101; expected a number from 0 to 100"),
        ("PUT", "/gpus/0/load", {"percent": 1, "for_s": 3}, "request: for_s: is not a known key"),
        ("PUT", "/gpus/3/mig/2/load", {"percent": 1}, "MIG device of GPU 3 '2' does not exist; the numbers are 0 to 1"),
        ("DELETE", "/gpus/0/mig/0/load", None, "MIG device of GPU 0 '0' does not exist; the numbers are none"),
        ("POST", "/gpus/0/faults", {"kind": "fire"}, "request: kind: is 'fire'; expected one of lost, hang, slow"),
        ("POST", "/gpus/0/faults", {"kind": "xid"}, "request: code: is missing"),
        (
            "POST",
            "/gpus/0/faults",
            {"kind": "lost", "for_s": 1, "until_s": 2},
            "request: for_s: is set together with until_s",
        ),
        ("PUT", "/pods", {}, "request: pods: is missing"),
        ("PUT", "/pods", {"pods": [pod("a", 0), pod("a", 1)]}, "request: pods[1].name: is 'a', but an earlier pod"),
        ("PUT", "/pods", {"pods": [], "more": 1}, "request: more: is not a known key; the keys are pods"),
        ("POST", "/pods", pod("llm-0", 0), "pod prod/llm-0 already exists"),
        (
            "POST",
            "/pods",
            pod("llm-1", 9),
            "request: containers[0].gpus[0].gpu: is 9; expected a whole number from 0 to 3",
        ),
        ("DELETE", "/pods/prod/llm-7", None, "pod prod/llm-7 does not exist"),
    ],
)
def test_a_wrong_request_is_answered_with_one_sentence_and_changes_nothing(
    unmoved: Steered, method: str, path: str, content: object, sentence: str
) -> None:
    before = unmoved.do("GET", "/state")
    assert unmoved.refusal(method, path, content).startswith(sentence)
    assert unmoved.do("GET", "/state") == before
    assert unmoved.told == []


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/"), ("POST", "/state"), ("PUT", "/demands"), ("DELETE", "/pods/a"), ("GET", "/pods")]
)
def test_what_is_no_command_is_not_found_and_the_answer_lists_the_commands(
    unmoved: Steered, method: str, path: str
) -> None:
    status, answer = unmoved.ask(method, path, "{}")
    assert status == 404
    assert f"{method} {path} is not known; the commands are GET /state, PUT /demands/NAME" in answer["error"]


def test_names_in_the_path_may_be_percent_encoded_and_a_query_means_nothing(steered: Steered) -> None:
    steered.do("POST", "/pods", pod("web-7", 1))
    assert len(steered.do("DELETE", "/pods/prod/web%2D7?now=1")["pods"]) == 1


@pytest.mark.parametrize("name", ["", "a b", "Web-0", "x\ny", "../etc", "a" * 254])
def test_a_pod_that_kubernetes_would_refuse_is_refused(unmoved: Steered, name: str) -> None:
    for method, content in (("POST", pod(name, 1)), ("PUT", {"pods": [pod(name, 1)]})):
        assert "expected a name that Kubernetes accepts" in unmoved.refusal(method, "/pods", content)


def test_the_documentation_lists_every_command() -> None:
    text = (Path(__file__).parents[4] / "docs" / "mock.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"`((?:GET|PUT|POST|DELETE) /[^` ]+)`", text))
    assert listed == set(Commands(MockNvml(scenario(MACHINE), FakeClock()).machine, lambda _: None).listed())
