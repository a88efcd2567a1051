"""Run the tests of this folder on a real kubelet: `python -m tests.kubelet`, arguments are pytest's.

Installs and builds what is missing, then runs pytest enclosed, and leaves nothing behind.
"""

import sys
from pathlib import Path

from tests.cluster.enclosed import Needs, run_tests
from tests.cluster.requirements import ENCLOSURE, IMAGE, KUBELET
from tests.kubelet.exporter_image import provide_archive

NEEDS = Needs({**ENCLOSURE, **KUBELET, **IMAGE}, ("etcd", "kubernetes", "helm"), provide_archive, has_kubelet=True)

if __name__ == "__main__":
    sys.exit(run_tests("tests on a real kubelet", Path(__file__).parent, NEEDS))
