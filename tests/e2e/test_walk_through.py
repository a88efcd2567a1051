"""docs/walk-through.md, followed: each of its commands with the answer that stands there, on a real kubelet."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import yaml

from tests.chart import looks
from tests.chart.helm import Helm
from tests.cluster import enclosure
from tests.cluster.certificates import NODE_NAME
from tests.e2e.cases import Table
from tests.e2e.cluster import INFRASTRUCTURE, Cluster
from tests.e2e.configuration import load_when
from tests.e2e.reader import AS_PRINTED, Reader
from tests.e2e.real_gpu_node import real_node
from tests.page_steps import Step, steps
from tests.pages import page
from tests.tools.build import build

GPU_NODES = "B. On GPU nodes"
STEPS = steps(page("walk-through"))

NOT_HERE = {
    "kind ": "the real kubelet of this cluster stands for kind's",
    "minikube ": "likewise",
    "docker ": "the image is built by `make image` and imported into containerd",
    "helm repo ": "the internet is out of reach",
    "helm install kube-prometheus ": "its chart is out of reach; tests/e2e/prometheus.py makes what counts of it",
    "helm install gpu-operator ": "it needs GPUs",
    "python3 -m venv ": "the virtual environment of the tests stands for it",
    ".venv/bin/pip ": "likewise",
    "kubectl get hpa gpu-workload-hpa --watch": "it never ends, and needs GPUs with a program that uses them",
}
"""Commands that don't run here, by their beginnings, and why."""

TAINT = "walk-through"
HERE = {"adapter": {"tolerations": [{"key": TAINT, "operator": "Exists"}]}}
"""Values that this cluster needs: the adapter runs on the node that has its image, the exporter on the other one."""
KINDS_NODE = "gpus-control-plane"


def runs_here(step: Step) -> bool:
    return not step.command.startswith(tuple(NOT_HERE))


def first_line(step: Step) -> str:
    return f"$ {step.command.splitlines()[0]}"


def here(step: Step) -> Step:
    """Return a command as it runs in this cluster."""
    command = step.command.replace("-f walk-through.yaml", "-f walk-through.yaml -f here.yaml")
    return replace(step, command=command, answer=step.answer.replace(KINDS_NODE, NODE_NAME))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "clone"


@pytest.fixture
def reader(bare_cluster: Cluster, folder: Path) -> Iterator[Reader]:
    programs = {"helm": build("helm")["helm"], "kubectl": build("kubernetes")["kubectl"]}
    with Reader(folder, programs, bare_cluster.control_plane.certificates / "admin.kubeconfig") as reader:
        yield reader


@pytest.fixture
def laptop(bare_cluster: Cluster) -> Iterator[None]:
    """A real node without GPUs, taints and exporter, where pods that hold GPUs can run and nothing else does."""
    kubectl = bare_cluster.kubectl
    with ExitStack() as stack:
        stack.enter_context(bare_cluster.without_gpu_nodes())
        kubectl("taint", "node", INFRASTRUCTURE, f"{TAINT}=:NoSchedule")
        stack.callback(kubectl, "taint", "node", INFRASTRUCTURE, f"{TAINT}-")
        stack.callback(load_when, bare_cluster, "")
        stack.enter_context(real_node(bare_cluster, enclosure.FOLDER / "laptop", "gpu-metrics-exporter:0.1.0"))
        yield
        kubectl("delete", "deployment", "gpu-workload", "--ignore-not-found")
        bare_cluster.helm.run(
            "uninstall",
            "dcgm-exporter",
            "--namespace=monitoring",
            "--ignore-not-found",
            f"--kubeconfig={bare_cluster.control_plane.certificates}/admin.kubeconfig",
        )


@pytest.mark.usefixtures("laptop")
def test_on_a_laptop_each_command_prints_what_the_page_says(reader: Reader, folder: Path, table: Table) -> None:
    (folder / "here.yaml").write_text(json.dumps(HERE))
    for step in STEPS:
        if GPU_NODES not in step.headings and runs_here(step):
            table.becomes(first_line(step), AS_PRINTED, partial(reader.follow, here(step)), within_s=0)


def test_on_gpu_nodes_the_commands_run_and_the_values_render(reader: Reader, folder: Path, table: Table) -> None:
    for step in STEPS:
        if GPU_NODES in step.headings and runs_here(step):
            table.becomes(first_line(step), AS_PRINTED, partial(reader.follow, step), within_s=0)
    rendered = Helm(build("helm")["helm"]).template(yaml.safe_load((folder / "walk-through.yaml").read_text()))
    assert looks.exporter(rendered)["image"].startswith("REGISTRY/gpu-metrics-exporter:")
    assert looks.pod(rendered)["runtimeClassName"] == "nvidia"
    assert [one["metadata"]["name"] for one in rendered.all("HorizontalPodAutoscaler")] == ["gpu-workload-hpa"]


def test_no_block_of_the_page_is_passed_over() -> None:
    assert set(re.findall(r"^ *```(\w*)\n.*?^ *```$", page("walk-through"), re.MULTILINE | re.DOTALL)) == {"sh", "text"}
    assert sum(GPU_NODES in step.headings for step in STEPS) > 0


def test_each_command_that_does_not_run_here_is_on_the_page() -> None:
    commands = [step.command for step in STEPS]
    assert [begin for begin in NOT_HERE if not any(command.startswith(begin) for command in commands)] == []
