"""The doctor as somebody with a kubeconfig runs it: which link it names, and what it says about one."""

import json
import subprocess
import sys
from typing import Any

from tests.e2e.cluster import Cluster
from tests.e2e.images import TREE
from tests.waiting import NotYet

_WITHIN_S = 60.0
NONE = "none"


def examine(cluster: Cluster, *arguments: str, user: str = "admin") -> dict[str, Any]:
    """Return what the doctor prints as JSON."""
    kubeconfig = cluster.control_plane.certificates / f"{user}.kubeconfig"
    command = [sys.executable, "-m", "exporter", "doctor", "--json", f"--kubeconfig={kubeconfig}", *arguments]
    done = subprocess.run(command, cwd=TREE, capture_output=True, text=True, timeout=_WITHIN_S, check=False)
    assert not done.stderr, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    of_cluster = [one for one in found["findings"] if one["subject"] not in {"node", "kubelet"}]  # this is no GPU node
    expected = 1 if found["first_broken"] else 3 * any(one["mark"] == "unseen" for one in of_cluster)
    assert done.returncode == expected, found
    return found


def first_broken(cluster: Cluster) -> str:
    """Return the first link that the doctor calls broken."""
    return str(examine(cluster)["first_broken"] or NONE)


def says(cluster: Cluster, link: str, *arguments: str) -> str:
    """Return what the doctor says about a link: mark, what it saw, and the cure, of each finding that is not good."""
    found = [one for one in examine(cluster, *arguments)["findings"] if one["link"] == link]
    worse = [one for one in found if one["mark"] != "holds"] or found
    if not worse:
        raise NotYet(f"nothing about {link}")
    return "; ".join(" ".join(filter(None, (one["mark"], one["seen"], one["cure"]))) for one in worse)
