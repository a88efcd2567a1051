"""The chart as a package, and for those who do not use it: its dashboards and its rules as files.

    python -m tools.release.chart_files dist

writes those files alone, with the helm on the PATH, or one that it builds.
"""

import argparse
import shutil
import sys
from pathlib import Path

import yaml

from tests.chart.helm import CHART, Helm, Refused
from tests.tools.build import BuildFailed, GoMissing, build

VALUES = {
    "dashboards": {"enabled": True},
    "alerts": {"enabled": True},
    "adapter": {"rules": {"create": True}},
    "serviceMonitor": {"enabled": False},  # with it, queries want a label that only the chart's monitor writes
}


def main() -> int:
    """Write dashboards and rules; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.release.chart_files",
        description="Write what the chart has for Prometheus and Grafana as files.",
    )
    parser.add_argument("folder", type=Path, help="where to")
    folder = parser.parse_args().folder
    try:
        write_files(Helm(Path(shutil.which("helm") or build("helm")["helm"])), folder)
    except (BuildFailed, GoMissing, Refused) as reason:
        sys.stderr.write(f"tools/release: {reason}\n")
        return 1
    sys.stdout.write(f"{folder}/rules/alerts.yaml, {folder}/rules/prometheus-adapter.yaml, {folder}/dashboards/\n")
    return 0


def package_chart(helm: Helm, folder: Path) -> None:
    """Write the chart's package."""
    helm.run("package", str(CHART), f"--destination={folder}")


def write_files(helm: Helm, folder: Path) -> None:
    """Write dashboards and rules, each in a folder of its own.

    Raises:
        Refused: helm renders nothing.
    """
    for name, write in (("dashboards", _write_dashboards), ("rules", _write_rules)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        write(helm, folder / name)


def _write_dashboards(helm: Helm, folder: Path) -> None:
    """Write each Grafana dashboard as Grafana imports it."""
    for config in helm.template(VALUES).all("ConfigMap"):
        for name, text in config["data"].items():
            if name.endswith(".json"):
                (folder / name).write_text(text)


def _write_rules(helm: Helm, folder: Path) -> None:
    """Write the alerts as Prometheus reads them without its operator, and the rules as prometheus-adapter does."""
    rendered = helm.template(VALUES)
    groups = rendered.one("PrometheusRule")["spec"]["groups"]
    (folder / "alerts.yaml").write_text(yaml.safe_dump({"groups": groups}, sort_keys=False, width=120))
    [adapter] = [config["data"] for config in rendered.all("ConfigMap") if "config.yaml" in config["data"]]
    (folder / "prometheus-adapter.yaml").write_text(adapter["config.yaml"])


if __name__ == "__main__":
    sys.exit(main())
