"""What has to be there before a whole cluster can start."""

from tests.cluster.enclosed import Needs
from tests.cluster.requirements import ENCLOSURE
from tests.e2e.cluster import TOOLS
from tests.e2e.manifests import fetch_manifests

NEEDS = Needs(ENCLOSURE, TOOLS, fetch_manifests)
