import pytest

from tests.unit.mock.steering.steered import Steered


def test_the_state_tells_gpus_demands_and_pods(steered: Steered) -> None:
    steered.clock.advance(2)
    state = steered.do("GET", "/state")
    assert state["t_s"] == 2
    assert [gpu["load_percent"] for gpu in state["gpus"]] == [100, 0, 0, pytest.approx(20 * 4 / 7, abs=0.001)]
    assert [gpu["is_forced"] for gpu in state["gpus"]] == [False] * 4
    assert [(mig["device"], mig["profile"], mig["load_percent"]) for mig in state["gpus"][3]["mig"]] == [
        (0, "3g.40gb", 20),
        (1, "1g.10gb", 20),
    ]
    assert state["gpus"][1]["uuid"] == steered.nvml.nvmlDeviceGetUUID(steered.gpu(1))
    assert state["demands"] == {"inference": {"gpus": 1, "pods": {"namespace": "prod", "name": "llm-.*"}}}
    container = {"name": "main", "devices": {"nvidia.com/gpu": [state["gpus"][0]["uuid"]]}}
    assert state["pods"] == [{"namespace": "prod", "name": "llm-0", "containers": [container]}]
