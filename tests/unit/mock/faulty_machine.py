"""A machine with a GPU that has faults beside a sound one, and calls that may hang on it."""

import threading
from typing import Any

from exporter.mock import MockNvml
from tests.unit.fake_clock import FakeClock
from tests.unit.mock_machines import scenario, started

PATIENCE_S = 60


class Caller:
    """A call in a thread of its own."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.answers: list[Any] = []
        self._thread = threading.Thread(target=lambda: self.answers.append(function(*args)), daemon=True)
        self._thread.start()

    def answer(self) -> Any:
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()
        return self.answers[0]

    def hangs(self) -> bool:
        self._thread.join(0.03)
        return self._thread.is_alive()


def machine(clock: FakeClock, faults: str) -> tuple[MockNvml, Any, Any]:
    """Return a machine, its faulty GPU and a sound one."""
    nvml = started(scenario(f"gpus: [{{profile: h100-sxm, load: 40, faults: {faults}}}, {{profile: h100-sxm}}]"), clock)
    return nvml, nvml.nvmlDeviceGetHandleByIndex(0), nvml.nvmlDeviceGetHandleByIndex(1)
