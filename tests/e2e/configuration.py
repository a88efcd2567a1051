"""Prometheus' configuration: what the operator has written, what Prometheus runs with, how one becomes the other.

In a cluster it takes its time: the config reloader notices the first change after its start at once, and the later ones
when it looks by itself, every three minutes.
"""

import base64
import gzip
import re

from tests.e2e.cluster import Cluster
from tests.e2e.prometheus import NAME, NAMESPACE, ask, must_follow
from tests.waiting import NotYet, wait_for

HONOURED = ":honorLabels"
"""What stands behind the name of a ServiceMonitor whose series keep their labels."""
GUIDES = "dcgm-exporter"
CHARTS = f"dcgm-exporter-metrics{HONOURED}"

_HONOURS = "\n  honor_labels: true\n"
_POD = f"prometheus-{NAME}-0"
_WITHIN_S = 120.0


def written(cluster: Cluster) -> str:
    """Return the configuration that the operator has made of all objects."""
    secret = cluster.api.get(f"/api/v1/namespaces/{NAMESPACE}/secrets/prometheus-{NAME}")
    return gzip.decompress(base64.b64decode(secret["data"]["prometheus.yaml.gz"])).decode()


def running() -> str:
    """Return the configuration that Prometheus has."""
    return str(ask("status/config")["yaml"])


def monitors(configuration: str) -> str:
    """Return the exporter's ServiceMonitors in a configuration, as CHARTS and GUIDES are written."""
    jobs = re.findall(
        rf"- job_name: serviceMonitor/{NAMESPACE}/([^/]+)/(.*?)(?=- job_name|\Z)", configuration, re.DOTALL
    )
    return " ".join(f"{name}{HONOURED if _HONOURS in job else ''}" for name, job in sorted(jobs))


def load_when(cluster: Cluster, expected: str) -> None:
    """Wait for these ServiceMonitors, and let Prometheus load it at once: a config reloader that starts looks first."""
    wait_for(f"a configuration with {expected}", lambda: _must_be(written(cluster), expected), _WITHIN_S)
    [prometheus] = [pod for pod in cluster.agent.real_pods() if pod.name == f"{NAMESPACE}/{_POD}"]
    prometheus.kill("config-reloader")
    wait_for(f"Prometheus with {expected}", lambda: _must_be(running(), expected), _WITHIN_S)
    wait_for("the config reloader", must_follow, _WITHIN_S)


def start_anew_when(cluster: Cluster, expected: str) -> None:
    """Wait for these ServiceMonitors, and start a Prometheus that has no data of before.

    The last values that a deleted ServiceMonitor has brought are otherwise there for five minutes more.
    """

    def look_for_start() -> None:
        if ask("status/runtimeinfo")["startTime"] == before:
            raise NotYet("the old one answers")

    wait_for(f"a configuration with {expected}", lambda: _must_be(written(cluster), expected), _WITHIN_S)
    before = ask("status/runtimeinfo")["startTime"]
    cluster.kubectl("delete", "pod", _POD, "-n", NAMESPACE)
    wait_for("a new Prometheus", look_for_start, _WITHIN_S)
    wait_for(f"Prometheus with {expected}", lambda: _must_be(running(), expected), _WITHIN_S)
    wait_for("the config reloader", must_follow, _WITHIN_S)


def _must_be(configuration: str, expected: str) -> None:
    if (seen := monitors(configuration)) != expected:
        raise NotYet(seen)
