"""The GPU Operator's DaemonSet of dcgm-exporter, as it starts this program: its variables, arguments and mounts.

The Operator gives its pod no right to ask the API server unless its fields of pod labels ask for that, and mounts
kubelet's pod-resources folder read-only. docs/gpu-operator.md says which release has which field.
"""

import re
from pathlib import Path

from podresources.fake_kubelet import FakeKubelet
from podresources.fake_pods import Container, Pod
from tests.golden.series import Series, of_dcgm, read_series
from tests.integration.program import Program, Start

OPERATORS = {
    "DCGM_EXPORTER_LISTEN": ":0",
    "DCGM_EXPORTER_KUBERNETES": "true",
    "DCGM_EXPORTER_COLLECTORS": "/etc/dcgm-exporter/dcp-metrics-included.csv",
    "NODE_NAME": "node-7",
    "KUBERNETES_SERVICE_HOST": "127.0.0.1",  # as in every pod
    "KUBERNETES_SERVICE_PORT": "9",
}
POD_LABELS = {
    "DCGM_EXPORTER_KUBERNETES_ENABLE_POD_LABELS": "true",
    "DCGM_EXPORTER_KUBERNETES_ENABLE_POD_UID": "true",
    "DCGM_EXPORTER_KUBERNETES_POD_LABEL_ALLOWLIST_REGEX": r"^app$,^kueue\.x-k8s\.io/.*$",
}
MOCK = {"DCGM_EXPORTER_MOCK": "h100-sxm"}


def series(program: Program) -> list[Series]:
    return of_dcgm(program.get("/metrics")[1])


def pods(program: Program) -> set[str]:
    return {found.labels["pod"] for found in series(program)}


def warnings(program: Program) -> list[str]:
    return re.findall(r"^\S+ (?:WARNING|ERROR) (.*)$", program.log(), re.MULTILINE)


def test_its_variables_are_all_the_program_needs(start: Start) -> None:
    program = start(**OPERATORS, **MOCK)
    assert program.get("/health")[0] == 200
    program.until(lambda: len(pods(program)) > 1)
    program.until(lambda: "DCGM_FI_PROF_DRAM_ACTIVE" in {found.name for found in series(program)})
    assert {found.labels["Hostname"] for found in series(program)} == {"node-7"}
    assert all({"container", "namespace", "pod"} <= found.labels.keys() for found in series(program))
    assert program.get("/health")[0] == 200
    expected = ("MOCK", "/etc/dcgm-exporter/dcp-metrics-included.csv")  # the image has that file
    assert [line for line in warnings(program) if not any(words in line for words in expected)] == []
    program.must_end()


def test_its_options_work_without_a_token_as_far_as_they_can(start: Start, tmp_path: Path) -> None:
    for folder in ("pod-resources", "jobs", "metrics"):
        (tmp_path / folder).mkdir()
    (tmp_path / "jobs" / "0").write_text("job-7\n")
    counters = tmp_path / "metrics" / "dcgm-metrics.csv"
    counters.write_text("DCGM_FI_DEV_FB_TOTAL, gauge, What an OpenShift rule asks for.\n")
    socket = tmp_path / "pod-resources" / "kubelet.sock"
    pod = Pod("team-a", "web-0", [Container("main", {"nvidia.com/gpu": ["nvidia0"]})])
    with FakeKubelet(socket, [pod]):
        socket.parent.chmod(0o555)
        program = start(
            **{**OPERATORS, **MOCK, **POD_LABELS, "DCGM_EXPORTER_COLLECTORS": str(counters)},
            DCGM_POD_RESOURCES_KUBELET_SOCKET=str(socket),
            DCGM_HPC_JOB_MAPPING_DIR=str(tmp_path / "jobs"),
            DCGM_REMOTE_HOSTENGINE_INFO="nvidia-dcgm:5555",
        )
        program.until(lambda: pods(program) == {"web-0", ""})
        program.until(lambda: any("hpc_job" in found.labels for found in series(program)))
        program.until(lambda: any("service account" in line for line in warnings(program)))
        assert {found.name for found in series(program)} == {"DCGM_FI_DEV_FB_TOTAL"}
        [first] = [found.labels for found in series(program) if found.labels["gpu"] == "0"]
        owner = {"container": "main", "hpc_job": "job-7", "namespace": "team-a", "pod": "web-0", "pod_uid": ""}
        assert list(first.items())[-5:] == list(owner.items())
        assert len([line for line in warnings(program) if "service account" in line]) == 1
        program.must_end()
        socket.parent.chmod(0o755)


def test_without_a_gpu_it_lives_and_says_so(start: Start, tmp_path: Path) -> None:
    (tmp_path / "libnvidia-ml.so.1").write_bytes(b"")
    program = start(**OPERATORS, LD_LIBRARY_PATH=str(tmp_path))
    program.until(lambda: "libnvidia-ml.so.1 was not found" in program.get("/health")[1])
    assert program.get("/health")[0] == 200
    found = read_series(program.get("/metrics")[1])
    assert [s.value for s in found if s.name == "gpu_exporter_owners_known"] == ["0.0"]
    assert series(program) == []
    program.must_end()
