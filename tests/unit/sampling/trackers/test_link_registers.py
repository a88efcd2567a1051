from typing import Any

import pynvml

from exporter.catalogue.convert import same
from exporter.catalogue.reading import LINKS, Field, Scope, Tracked, Tracker
from exporter.model import Reason
from tests.unit.sampling.trackers.bench import Bench

DOWN = Tracked(Tracker.LINK_REGISTERS, (1,), (Field("DOWN", same),), Scope.LINK)
WAITED = Tracked(Tracker.LINK_REGISTERS, (201,), (Field("WAITED", same),), Scope.LINK)


def test_each_link_answers_each_reading_from_one_call() -> None:
    bench = Bench(Tracker.LINK_REGISTERS, "{profile: h100-sxm, nvlink: true}")

    def registers(_device: Any, request: Any) -> None:
        for counter in request.counters[: request.numCounters]:
            counter.outputValue.outputType = pynvml.NVML_VALUE_TYPE_UNSIGNED_INT
            counter.outputValue.outputValue.uiVal = 1000 * counter.inputValue.localPort + counter.counterId

    bench.nvml.replaced["nvmlDeviceReadPRMCounters_v1"] = registers
    answers = {entity.link: answer for entity, answer in bench.read_entities(WAITED).items()}
    assert answers == {link: 1000 * (link + 1) + 201 for link in LINKS}
    bench.nvml.calls.clear()
    assert len(bench.read(DOWN, WAITED)) == 2 * len(LINKS)
    assert bench.nvml.calls["nvmlDeviceReadPRMCounters_v1"] == len(LINKS)


def test_a_gpu_without_registers_supports_none() -> None:
    assert set(Bench(Tracker.LINK_REGISTERS, "{profile: t4}").read(DOWN)) == {Reason.NOT_SUPPORTED}
