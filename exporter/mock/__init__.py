"""A mock NVML: a machine with GPUs that do not exist, for every place that has none.

`MockNvml(load_scenario("h100-sxm"), time)` stands where the module `pynvml` stands. docs/mock.md describes scenarios,
profiles and how far the mock goes. Only a flag turns it on.
"""

from exporter.mock.calls.nvml import MockNvml
from exporter.mock.machine.demands import Holders
from exporter.mock.machine.pods import MockContainer, MockPod
from exporter.mock.machine.scenario import Scenario
from exporter.mock.scenario.scenario_file import load_scenario, scenario_names

__all__ = ["Holders", "MockContainer", "MockNvml", "MockPod", "Scenario", "load_scenario", "scenario_names"]
