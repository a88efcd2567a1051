"""Run the tests of this folder: `python -m tests.chart`, arguments are pytest's.

Builds and fetches what is missing, then runs pytest enclosed. The tests that install the chart do it in a real cluster,
which has no node, and whose network ends at loopback.
"""

import sys
from pathlib import Path

from tests.chart.helm import ALL_HELMS, HELMS
from tests.cluster.enclosed import Needs, run_tests
from tests.cluster.requirements import ENCLOSURE
from tests.tools.schemas import fetch_schemas

_helms = ALL_HELMS if "--all-helms" in sys.argv else HELMS
NEEDS = Needs(ENCLOSURE, ("etcd", "kubernetes", *_helms, "prometheus", "adapter"), fetch_schemas)

if __name__ == "__main__":
    sys.exit(run_tests("tests of the chart", Path(__file__).parent, NEEDS))
