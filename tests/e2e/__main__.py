"""Run the tests of this folder: `python -m tests.e2e`, arguments are pytest's; `--full` adds the cases beyond the core.

Installs and builds what is missing, then runs pytest enclosed, and leaves nothing behind.
"""

import sys
from pathlib import Path

from tests.cluster.enclosed import run_tests
from tests.e2e.needs import TEST_NEEDS

if __name__ == "__main__":
    sys.exit(run_tests("end-to-end tests", Path(__file__).parent, TEST_NEEDS))
