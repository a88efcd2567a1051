"""The program where the Kubernetes client is not installed: `pip install gpu-metrics-exporter` without its extra."""

from pathlib import Path

from tests.integration.program import ended

INSTALL = "pip install 'gpu-metrics-exporter[kubernetes]'"
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
