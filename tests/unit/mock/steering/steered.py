"""A mock machine that is steered as curl would steer it."""

import json
from http.client import HTTPConnection
from typing import Any

from exporter.mock import MockPod
from exporter.mock.steering.server import Steering
from tests.unit.fake_clock import FakeClock
from tests.unit.mock_machines import scenario, started

MACHINE = """
demands: {inference: {gpus: 1, pods: {namespace: prod, name: "llm-.*"}}}
gpus:
  - {profile: h100-sxm, count: 2, load: {kind: demand, name: inference}}
  - {profile: h100-sxm, load: {kind: replay, recording: h100-trace}}
  - {profile: a100-sxm, load: 20, mig: [1g.10gb, 3g.40gb]}
pods: [{namespace: prod, name: llm-0, containers: [{gpus: [0]}]}]
"""


class Steered:
    """A machine under a clock that only the test moves, and one who speaks to its steering interface."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.nvml = started(scenario(MACHINE), self.clock)
        self.told: list[tuple[MockPod, ...]] = []
        self.steering = Steering(self.nvml, 0, self.told.append)

    def ask(self, method: str, path: str, body: str | bytes | None = None, **headers: str) -> tuple[int, Any]:
        connection = HTTPConnection("127.0.0.1", self.steering.port, timeout=10)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def do(self, method: str, path: str, content: object = None) -> dict[str, Any]:
        status, answer = self.ask(method, path, None if content is None else json.dumps(content))
        assert status == 200, answer
        assert isinstance(answer, dict)
        return answer

    def refusal(self, method: str, path: str, content: object = None) -> str:
        status, answer = self.ask(method, path, None if content is None else json.dumps(content))
        assert status == 400
        assert answer.keys() == {"error"}
        assert "\n" not in answer["error"]
        return str(answer["error"])

    def gpu(self, index: int) -> Any:
        return self.nvml.nvmlDeviceGetHandleByIndex(index)

    def busy(self, *indices: int) -> list[int]:
        self.clock.advance(1)
        return [self.nvml.nvmlDeviceGetUtilizationRates(self.gpu(index)).gpu for index in indices]
