"""The chart as a package, and for those who do not use it: its dashboards and its rules as files."""

from pathlib import Path

import yaml

from tests.chart.helm import CHART, Helm

VALUES = {"dashboards": {"enabled": True}, "alerts": {"enabled": True}, "adapter": {"rules": {"create": True}}}


def package_chart(helm: Helm, folder: Path) -> None:
    """Write the chart's package."""
    helm.run("package", str(CHART), f"--destination={folder}")


def write_dashboards(helm: Helm, folder: Path) -> None:
    """Write each Grafana dashboard as Grafana imports it."""
    for config in helm.template(VALUES).all("ConfigMap"):
        for name, text in config["data"].items():
            if name.endswith(".json"):
                (folder / name).write_text(text)


def write_rules(helm: Helm, folder: Path) -> None:
    """Write the alerts as Prometheus reads them without its operator, and the rules as prometheus-adapter does."""
    rendered = helm.template(VALUES)
    groups = rendered.one("PrometheusRule")["spec"]["groups"]
    (folder / "alerts.yaml").write_text(yaml.safe_dump({"groups": groups}, sort_keys=False, width=120))
    [adapter] = [config["data"] for config in rendered.all("ConfigMap") if "config.yaml" in config["data"]]
    (folder / "prometheus-adapter.yaml").write_text(adapter["config.yaml"])
