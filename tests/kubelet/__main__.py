"""Run the tests of this folder on a real kubelet: `python -m tests.kubelet`, arguments are pytest's.

Installs and builds what is missing, then runs pytest enclosed, and leaves nothing behind.
"""

import os
import sys
from pathlib import Path

from tests.cluster.enclosed import Needs, run_tests
from tests.cluster.requirements import ENCLOSURE, IMAGE, KUBELET
from tests.kubelet.exporter_image import ARCHIVE
from tools.image.build import cached_image


def _prepare_image() -> None:
    if not os.environ.get(ARCHIVE):
        print("the exporter's image: building, where it is not there", flush=True)  # noqa: T201 - it takes minutes
        os.environ[ARCHIVE] = str(cached_image())


NEEDS = Needs({**ENCLOSURE, **KUBELET, **IMAGE}, ("etcd", "kubernetes", "helm"), _prepare_image, has_kubelet=True)

if __name__ == "__main__":
    sys.exit(run_tests("tests on a real kubelet", Path(__file__).parent, NEEDS))
