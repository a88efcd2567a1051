"""The closed loop through the whole program: pods hold GPUs, kubelet lists them, and each GPU is as busy as it follows.

The mock's GPUs are only as busy as the exporter's own attribution says that pods hold them.
"""

import json
import socket
import urllib.request
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from podresources.fake_kubelet import FakeKubelet
from podresources.fake_pods import Container, Pod
from tests.golden.series import read_series
from tests.integration.program import Program, Start

GPUS = 6
SCENARIO = f"""
demands: {{inference: {{gpus: 3, pods: {{namespace: prod, name: "llm-.*"}}}}}}
gpus: [{{profile: h100-sxm, count: {GPUS}, load: {{kind: demand, name: inference}}}}]
"""
BUSY = {1: 100, 4: 75, 6: 50}
"""How busy each GPU is, in percent, by the number of pods that share a demand of three GPUs' worth."""
TOLERANCE = 2


@pytest.fixture
def scenario(tmp_path: Path) -> str:
    file = tmp_path / "loop.yaml"
    file.write_text(SCENARIO)
    return str(file)


def utilization(program: Program) -> dict[tuple[str, str], float]:
    """Return how busy each GPU is, by its number and pod."""
    found = read_series(program.get("/metrics")[1])
    return {(s.labels["gpu"], s.labels["pod"]): float(s.value) for s in found if s.name == "DCGM_FI_DEV_GPU_UTIL"}


def is_as_expected(program: Program, pods: int) -> bool:
    """Say whether the pods llm-0, llm-1, ... are as busy as they should be, and all other GPUs idle and free."""
    expected = {(str(n), f"llm-{n}" if n < pods else ""): BUSY[pods] if n < pods else 0 for n in range(GPUS)}
    found = utilization(program)
    return found.keys() == expected.keys() and all(abs(found[key] - expected[key]) <= TOLERANCE for key in expected)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def steer(port: int, method: str, path: str, content: Any) -> None:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", json.dumps(content).encode(), method=method)
    with urllib.request.urlopen(request, timeout=5) as answer:
        assert answer.status == 200


def test_steered_pods_share_the_demand(start: Start, scenario: str) -> None:
    port = free_port()
    program = start("--mock", scenario, "--mock-steering-port", str(port), "-c", "200")
    program.until(lambda: len(utilization(program)) == GPUS)
    for pods in BUSY:
        described = [{"namespace": "prod", "name": f"llm-{n}", "containers": [{"gpus": [n]}]} for n in range(pods)]
        steer(port, "PUT", "/pods", {"pods": described})
        program.until(partial(is_as_expected, program, pods))
    steer(port, "PUT", "/demands/inference", {"gpus": 6})
    program.until(lambda: set(utilization(program).values()) == {100})
    program.must_end()


def test_pods_of_another_kubelet_share_it_too(start: Start, scenario: str, tmp_path: Path) -> None:
    path = tmp_path / "kubelet.sock"
    with FakeKubelet(path) as kubelet:
        program = start("--mock", scenario, "-k", "--pod-resources-kubelet-socket", str(path), "-c", "200")
        for pods in (1, 6):
            kubelet.set_pods(
                Pod("prod", f"llm-{n}", [Container("main", {"nvidia.com/gpu": [f"nvidia{n}"]})]) for n in range(pods)
            )
            program.until(partial(is_as_expected, program, pods))
        program.must_end()
