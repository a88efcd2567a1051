"""Measure the reaction time: `python -m tests.e2e.reaction FOLDER`, as root on Linux.

From the moment at which the load of a pod's GPU rises to the autoscaler's first new replica, over many rises, at the
guide's intervals and at those that the chart could have. The rises of each setting go into a file of the folder, and
docs/reaction-time.md is written from those files. A setting whose file is there is not measured again.
"""

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.cluster import enclosure
from tests.cluster.enclosed import run_module
from tests.e2e.cluster import GUIDE, TOOLS, Cluster, Plan
from tests.e2e.manifests import fetch_manifests
from tests.e2e.needs import NEEDS
from tests.e2e.prometheus import NAMESPACE, ask
from tests.e2e.reaction_page import PAGE, Measured, Setting, written_into
from tests.e2e.release import RELEASE, values
from tests.e2e.rises import Lane, Rise
from tests.tools.build import build
from tests.waiting import NotYet, wait_for

LANES = 6
"""Rises at a time, each on a node of its own with an exporter of its own."""
SETTINGS = (
    # dcgm-exporter's collections and value, the guide's scrapes, and the adapter as its own chart runs it
    Setting("guide", collection_s=30, scrape_s=15, relist_s=60, is_instant=True),
    Setting("chart", collection_s=1, scrape_s=15, relist_s=5, signal_s=2),
    Setting("page-instant", collection_s=1, scrape_s=15, relist_s=15, is_instant=True),
    Setting("page-true", collection_s=1, scrape_s=15, relist_s=15),
)
_WITHIN_S = 240.0
"""The config reloader looks every three minutes by itself, should it have overlooked a change."""


def main() -> int:
    """Return the exit status: 0 once the page is written."""
    arguments = _arguments()
    files = {setting: arguments.folder.absolute() / f"{setting.name}.json" for setting in SETTINGS}
    missing = {setting: file for setting, file in files.items() if not file.exists()}
    if enclosure.is_inside():
        _measure(missing, arguments.rises, arguments.seed)
        return 0
    arguments.folder.mkdir(parents=True, exist_ok=True)
    status = run_module("tests.e2e.reaction", NEEDS, sys.argv[1:]) if missing else 0
    if status == 0:
        measured = [Measured.read(setting, file) for setting, file in files.items()]
        PAGE.write_text(written_into(PAGE.read_text(encoding="utf-8"), measured), encoding="utf-8")
    return status


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.reaction", description="Measure the reaction time.")
    parser.add_argument("folder", type=Path, help="where the rises are kept, one JSON file a setting")
    parser.add_argument("--rises", type=int, default=24, help="rises of each setting (default: 24)")
    parser.add_argument("--seed", type=int, default=1, help="of the random waits between them (default: 1)")
    return parser.parse_args()


def _measure(files: Mapping[Setting, Path], rises: int, seed: int) -> None:
    nodes = [f"gpu{number}" for number in range(LANES)]
    plan = Plan(nodes, [f"lane-{node}" for node in nodes], GUIDE)
    with Cluster(build(*TOOLS), fetch_manifests(), enclosure.FOLDER, plan) as cluster:
        for setting, file in files.items():
            _install(cluster, setting)
            with ThreadPoolExecutor(LANES) as pool:
                runs = [
                    pool.submit(_rises, Lane(cluster, node, f"lane-{node}", f"{seed} {setting.name} {node}"), count)
                    for node, count in zip(nodes, _shares(rises), strict=True)
                ]
                found = [rise for run in runs for rise in run.result()]
            Measured.now(setting, seed, found).write(file)


def _shares(rises: int) -> list[int]:
    return [len(range(lane, rises, LANES)) for lane in range(LANES)]


def _rises(lane: Lane, count: int) -> list[Rise]:
    found = []
    for _ in range(count):
        found.append(lane.rise())
        sys.stdout.write(f"{time.strftime('%H:%M:%S')} {json.dumps(dataclasses.asdict(found[-1]))}\n")
        sys.stdout.flush()
    lane.clear()
    return found


def _install(cluster: Cluster, setting: Setting) -> None:
    """Install or upgrade the chart to a setting, and wait until every part goes by it."""
    cluster.run_helm("upgrade", _values(cluster, setting), "--install")
    for what in ("daemonset/dcgm-exporter", "deployment/dcgm-exporter-adapter"):
        cluster.kubectl("rollout", "status", what, "--namespace", NAMESPACE, "--timeout=50s")
    wait_for(f"Prometheus' targets of {setting.name}", lambda: _must_be_scraped(cluster, setting), _WITHIN_S)


def _values(cluster: Cluster, setting: Setting) -> Mapping[str, Any]:
    scrape = f"{setting.scrape_s}s"
    found = dict(values(cluster.plan.namespaces, scrape))
    found["utilization"] = {"signal": "instant" if setting.is_instant else "true"}
    found["arguments"] = [*found["arguments"], "-c", str(setting.collection_s * 1000)]
    found["adapter"] = {**found["adapter"], "relistInterval": f"{setting.relist_s}s"}
    signal = {"enabled": True, "interval": f"{setting.signal_s}s"} if setting.signal_s else {"enabled": False}
    found["serviceMonitor"] = {"interval": scrape, "scrapeTimeout": "10s", "signal": signal}
    del found["servingMonitors"]
    return found


def _must_be_scraped(cluster: Cluster, setting: Setting) -> None:
    targets = [one for one in ask("targets", state="active")["activeTargets"] if RELEASE in one["scrapePool"]]
    seen = sorted(f"{one['scrapeInterval']} {one['health']}" for one in targets)
    intervals = [setting.scrape_s, setting.signal_s] if setting.signal_s else [setting.scrape_s]
    if seen != sorted(f"{interval}s up" for interval in intervals for _ in cluster.plan.nodes):
        raise NotYet(", ".join(seen))


if __name__ == "__main__":
    sys.exit(main())
