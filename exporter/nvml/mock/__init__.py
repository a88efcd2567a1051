"""A mock NVML: a machine with GPUs that do not exist, for every place that has none.

`MockNvml(load_scenario("h100-sxm"), time)` stands where the module `pynvml` stands. docs/mock.md describes scenarios,
profiles and how far the mock goes. Only the command line decides that it is used.
"""

from exporter.nvml.mock.demands import Holders
from exporter.nvml.mock.nvml import MockNvml
from exporter.nvml.mock.pods import MockContainer, MockPod
from exporter.nvml.mock.profile import profile_names
from exporter.nvml.mock.scenario import Scenario
from exporter.nvml.mock.scenario_file import load_scenario

__all__ = ["Holders", "MockContainer", "MockNvml", "MockPod", "Scenario", "load_scenario", "profile_names"]
