"""The chart's alerts and dashboards as files, for a Prometheus that no monitor of the chart configures."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.dashboard_lab import variables
from tests.chart.dashboards import NAMES, legends, queries
from tests.chart.helm import Helm
from tests.chart.promql import Question, contradictions
from tests.chart.test_alerts import promtool

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(helm: Helm, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make rules` writes."""
    made = tmp_path_factory.mktemp("dist")
    environment = {**os.environ, "PATH": f"{helm.binary.parent}:{os.environ['PATH']}"}
    command = (sys.executable, "-m", "tools.release.chart_files", made)
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=-1, stderr=-2, text=True, check=False)
    assert done.returncode == 0, done.stdout
    return made


def alerts(folder: Path) -> Mapping[str, Any]:
    groups = yaml.safe_load((folder / "rules" / "alerts.yaml").read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def jobs_of_the_pages() -> Iterator[str]:
    """Yield the names that pages and shipped configurations give to the job that scrapes the exporter."""
    for file in (*(ROOT / "docs").glob("*.md"), *(ROOT / "packaging").rglob("*.yaml")):
        yield from re.findall(r"job_name: ([\w/-]+)", file.read_text(encoding="utf-8"))


def test_prometheus_and_grafana_take_the_files(folder: Path) -> None:
    assert "SUCCESS" in promtool("check", "rules", "--lint=all", "--lint-fatal", str(folder / "rules" / "alerts.yaml"))
    assert {file.name for file in (folder / "dashboards").iterdir()} == {f"gpu-{name}.json" for name in NAMES}
    assert yaml.safe_load((folder / "rules" / "prometheus-adapter.yaml").read_text())["rules"]


@pytest.mark.parametrize("job", sorted(set(jobs_of_the_pages())))
def test_an_exporter_that_is_down_raises_the_alert_under_the_job_that_a_page_names(
    job: str, folder: Path, tmp_path: Path
) -> None:
    down = f'{{job="{job}", instance="node-1:9400"}}'
    is_down = Question(alerts(folder)["GpuExporterDown"]["expr"], {down: 0})
    assert contradictions({f"up{down}": "0x40"}, [is_down], tmp_path) == ""


WITHOUT_POD = {
    f"{name}{{job='dcgm-exporter', instance='node-1:9400'{labels}}}": "0x40"
    for name, labels in (
        ("process_resident_memory_bytes", ""),
        ("gpu_exporter_gpu_up", ", gpu='1'"),
        ("DCGM_FI_DEV_FB_USED", ", gpu='0', Hostname='node-1'"),
    )
}


@pytest.mark.parametrize(("dashboard", "title"), [("fleet", "Memory"), ("node", "Memory"), ("node", "Lost GPUs")])
def test_panels_show_exporters_that_run_in_no_pod(dashboard: str, title: str, folder: Path, tmp_path: Path) -> None:
    shown = json.loads((folder / "dashboards" / f"gpu-{dashboard}.json").read_text())
    asked = queries(shown, {**variables("classic"), "node": "node-1"})
    [expr] = [query.expr for query in asked if query.panel == title]
    assert contradictions(WITHOUT_POD, [Question(f"count({expr})", {"{}": 1})], tmp_path) == ""
    assert "exporter_pod" not in legends(shown)
