"""The program without its extras: neither the Kubernetes client nor rich is installed."""

import re
from pathlib import Path

from tests.integration.program import ended

INSTALL = "in a clone of the source: pip install '.[kubernetes]'"
NEEDS = {
    "--kubernetes-enable-pod-labels": ("-k",),
    "--kubernetes-enable-pod-uid": ("-k",),
    "--kubernetes-enable-dra": ("-k",),
    "--configmap-data": ("monitoring:counters",),
}


def test_a_setting_that_needs_the_api_server_says_what_to_install() -> None:
    flags = [("--mock", "-a", "127.0.0.1:0", flag, *more) for flag, more in NEEDS.items()]
    lines = [(command, *line) for line in flags for command in ("check", "serve")]
    for line, done in zip(lines, ended(*lines, missing=("kubernetes",)), strict=True):
        assert done.code == 2, (line, done.said)
        assert INSTALL in done.said, line
        assert line[4] in done.said
        assert "Traceback" not in done.said


def test_pods_from_kubelet_alone_need_no_client(tmp_path: Path) -> None:
    line = ("check", "--mock", "-k", f"--pod-resources-kubelet-socket={tmp_path}/kubelet.sock")
    [done] = ended(line, missing=("kubernetes",))
    assert done.code == 0, done.said


def test_doctor_and_top_say_what_to_install_by_no_name_that_a_stranger_could_register() -> None:
    doctor, top = ended(("doctor",), ("top", "--once"), missing=("kubernetes", "rich"))
    assert INSTALL in re.sub(r"\s+", " ", doctor.said)
    assert "--kubeconfig PATH" not in doctor.said
    assert top.code == 2
    assert "in a clone of the source: pip install '.[top]'" in top.said
    assert "gpu-metrics-exporter[" not in doctor.said + top.said
