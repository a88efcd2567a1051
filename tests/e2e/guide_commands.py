"""The guide's commands, as tests run them: what is not there yet can be waited for."""

import json

from tests.e2e.cases import Table
from tests.e2e.cluster import Cluster
from tests.e2e.guide_files import FOLDER
from tests.e2e.port_forward import fetch
from tests.waiting import NotYet


def kubectl(cluster: Cluster, *arguments: str) -> str:
    """Return what kubectl prints.

    Raises:
        NotYet: It fails, or prints nothing.
    """
    cluster.must_run()
    try:
        printed = cluster.kubectl(*arguments)
    except RuntimeError as error:
        raise NotYet(str(error)) from None
    if not printed.strip():
        raise NotYet("kubectl prints nothing")
    return printed


def last_line(cluster: Cluster, *arguments: str) -> str:
    """Return the last line that kubectl prints, its columns apart by one space."""
    return " ".join(kubectl(cluster, *arguments).splitlines()[-1].split())


def apply(cluster: Cluster, table: Table, file: str, made: str) -> None:
    """Apply a file of the guide, which makes one object; a line of the table."""
    table.is_(f"kubectl apply -f {file}", f"{made} created", cluster.kubectl("apply", "-f", str(FOLDER / file)).strip())


def metrics_of_pods(cluster: Cluster, part: str) -> str:
    """Return what `kubectl get --raw … | jq '.resources[].name' | grep PART` prints, on one line."""
    answer = json.loads(kubectl(cluster, "get", "--raw", "/apis/custom.metrics.k8s.io/v1beta1"))
    return " ".join(sorted(one["name"] for one in answer["resources"] if part in one["name"]))


def health_of_targets(pool: str) -> str:
    """Return what Prometheus' page of targets, forwarded to localhost, says of each one in pools with such a name."""
    answer = json.loads(fetch("http://localhost:9090/api/v1/targets?state=active"))
    return " ".join(one["health"] for one in answer["data"]["activeTargets"] if pool in one["scrapePool"])
