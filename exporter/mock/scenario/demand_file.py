"""The demands of a scenario's file."""

import re

from exporter.errors import describe
from exporter.mock.document import Section
from exporter.mock.machine.demands import Demand

MOST_GPUS_WORTH = 1_000_000.0
_LONGEST_PERIOD_S = 86400.0


def parse_demands(section: Section) -> dict[str, Demand]:
    """Return the demands that a scenario has, by name.

    Raises:
        ConfigError: Names file, key and reason.
    """
    if not section.has("demands"):
        return {}
    demands = section.section("demands")
    return {name: _demand(demands.section(name)) for name in demands.names()}


def gpus_worth(section: Section) -> float:
    """Return how many GPUs' worth a demand is, by the key gpus."""
    return section.number("gpus", 0, MOST_GPUS_WORTH)


def _demand(section: Section) -> Demand:
    pods = section.section("pods") if section.has("pods") else section.within({}, "pods")
    namespace = pods.text("namespace") if pods.has("namespace") else None
    period_s = section.number("period_s", 0, _LONGEST_PERIOD_S, 0.0)
    demand = Demand(gpus_worth(section), namespace, _pattern(pods), period_s)
    pods.finish()
    section.finish()
    return demand


def _pattern(pods: Section) -> re.Pattern[str]:
    text = pods.text("name", ".*")
    try:
        return re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise pods.error("name", f"is {describe(text)}, which is not a regular expression: {error}") from error
