"""The whole chain for a person to play with: `make demo`, as root on Linux.

A cluster with the chart and mock GPUs, a Deployment and its autoscaler, whose line is printed whenever it changes. The
load is turned up and down by keys, or by curl. The cluster is enclosed and curl could not reach it, so the socket that
curl speaks to is made outside and handed in.
"""

import os
import select
import socket
import sys
import termios
import textwrap
import tty
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

import yaml

from tests.cluster import enclosure
from tests.cluster.enclosed import INTERRUPTED, run_module
from tests.e2e.cluster import FAST, TOOLS, Cluster, Plan
from tests.e2e.demo_load import MOST_GPUS, Dial, served
from tests.e2e.demo_watch import AutoscalerLines
from tests.e2e.manifests import fetch_manifests
from tests.e2e.needs import NEEDS
from tests.e2e.prometheus import NAMESPACE
from tests.e2e.release import RELEASE, values
from tests.e2e.workloads import Workload, deployment
from tests.tools.build import build
from tests.waiting import NotYet, wait_for

_NAME, _WHERE = "gpu-workload", "default"  # as in the guide
_PLAN = Plan(["gpu0"], [_WHERE], FAST)
_AUTOSCALING = {
    "name": _NAME,
    "namespace": _WHERE,
    "maxReplicas": 4,
    "metrics": [{"preset": "gpu_utilization", "threshold": 50}],
    "behavior": {"scaleDown": {"stabilizationWindowSeconds": 15}},
}
_WITHIN_S = 120.0
_ROUND_S = 0.5


def main() -> int:
    """Return the exit status: 0 after q, 130 after Ctrl-C, 143 after SIGTERM, 1 where it can't run."""
    if enclosure.is_inside() and len(sys.argv) > 1:
        return _play_inside(socket.socket(fileno=int(sys.argv[1])))
    with socket.create_server(("127.0.0.1", 0)) as listener, _keys_at_once():
        status = run_module("tests.e2e.demo", NEEDS, [str(listener.fileno())], [listener.fileno()])
    if status in (0, INTERRUPTED):
        _say("Nothing of it runs any more.")
    return status


@contextmanager
def _keys_at_once() -> Iterator[None]:
    """Let a terminal hand over each key at once. That is done and undone outside: who is inside may be killed."""
    if not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _play_inside(listener: socket.socket) -> int:
    try:
        with redirect_stdout(None):  # it has been said outside
            tools = build(*TOOLS)
        _say("\nThe cluster starts: control plane, Prometheus, KEDA, and a node with mock GPUs.")
        with Cluster(tools, fetch_manifests(), enclosure.FOLDER, _PLAN) as cluster:
            _install(cluster)
            kubeconfig = cluster.control_plane.certificates / "admin.kubeconfig"
            dial = Dial(lambda gpus: _turn(cluster, gpus))
            with served(dial, listener), AutoscalerLines(tools["kubectl"], kubeconfig, f"{_NAME}-hpa", _WHERE) as lines:
                _explain(listener)
                _follow(cluster, dial, lines)
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def _install(cluster: Cluster) -> None:
    given = dict(values(cluster.plan.namespaces, cluster.plan.pace.scrape_interval)) | {"autoscaling": [_AUTOSCALING]}
    del given["servingMonitors"]
    cluster.kubectl("apply", manifests=[deployment(_NAME, _WHERE)])
    _say(f"$ helm install {RELEASE} chart --namespace {NAMESPACE} --values -    # mock GPUs, and:")
    _say(textwrap.indent(yaml.safe_dump({"autoscaling": [_AUTOSCALING]}, sort_keys=False), "    ").rstrip())
    cluster.run_helm("install", given)
    _say("The first value is on its way: exporter, Prometheus, prometheus-adapter.")
    work = Workload(cluster, _NAME, _WHERE)

    def look() -> None:
        if not work.utilization():
            raise NotYet("the adapter knows no pod")

    wait_for("the first value of gpu_utilization", look, _WITHIN_S)


def _explain(listener: socket.socket) -> None:
    address, port = listener.getsockname()
    if sys.stdin.isatty():
        _say("\nKeys: 0 to 9 set the load, in fifths of a GPU; + and - change it by a tenth; q ends all of it.")
    _say(f"Load by curl, in GPUs, up to {MOST_GPUS:g}: curl -d 1.8 http://{address}:{port}")
    _say(f"\n$ kubectl get hpa {_NAME}-hpa -w")


def _turn(cluster: Cluster, gpus: float) -> None:
    cluster.load.set(_WHERE, gpus)
    _say(f"                  load: {gpus:g} GPUs")


def _follow(cluster: Cluster, dial: Dial, lines: AutoscalerLines) -> None:
    """Print the autoscaler's lines and take keys, until the key q."""
    sources = [lines, sys.stdin] if sys.stdin.isatty() else [lines]
    while True:
        cluster.must_run()
        ready, _, _ = select.select(sources, [], [], _ROUND_S)
        if lines in ready:
            for line in lines.read():
                _say(line)
        if sys.stdin in ready:
            for key in (
                os.read(sys.stdin.fileno(), 64).decode(errors="replace") or "q"
            ):  # a terminal that is gone says nothing
                if key == "q":
                    return
                dial.press(key)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
