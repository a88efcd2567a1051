"""What has to be there before a whole cluster can start."""

from tests.cluster.enclosed import Needs
from tests.cluster.requirements import ENCLOSURE, IMAGE, KUBELET
from tests.e2e.cluster import TOOLS
from tests.e2e.manifests import fetch_manifests
from tests.kubelet.exporter_image import provide_archive

NEEDS = Needs(ENCLOSURE, TOOLS, fetch_manifests)


def _prepare_tests() -> None:
    fetch_manifests()
    provide_archive()


TEST_NEEDS = Needs({**ENCLOSURE, **KUBELET, **IMAGE}, TOOLS, _prepare_tests, has_kubelet=True)
"""For tests, in which a real node joins the cluster."""
