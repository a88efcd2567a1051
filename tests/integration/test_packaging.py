"""What is shipped for machines without Kubernetes, as far as it can be checked without systemd as process 1.

`make bare-metal-test` runs the units and the page's commands under a systemd of their own.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
import yaml

from tests.golden.soundness import tool
from tests.integration.program import ROOT
from tests.pages import blocks, page, section
from tests.waiting import PATIENCE_S, until

UNITS = ROOT / "packaging" / "systemd"
SERVICE = UNITS / "gpu-metrics-exporter.service"
EXPOSED_AT_MOST = 1.7
"""Of 10, as systemd-analyze counts what a service could do."""


def said(*command: str | Path) -> str:
    """Return all that a command says; it must succeed."""
    done = subprocess.run(command, stdout=-1, stderr=-2, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_systemd_takes_the_units_without_a_word(tmp_path: Path) -> None:
    program = tmp_path / "exporter"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    text = SERVICE.read_text().replace("/opt/gpu-metrics-exporter/bin/gpu-metrics-exporter", str(program))
    (tmp_path / SERVICE.name).write_text(text)
    shutil.copy(UNITS / "gpu-metrics-exporter.socket", tmp_path)
    drop_in = tmp_path / f"{SERVICE.name}.d"
    drop_in.mkdir()
    shutil.copy(UNITS / "socket.conf", drop_in)
    analyze = tool("systemd-analyze", "systemd")
    assert said(analyze, "verify", "--man=no", tmp_path / SERVICE.name, tmp_path / "gpu-metrics-exporter.socket") == ""


def test_the_service_may_do_little() -> None:
    report = said(tool("systemd-analyze", "systemd"), "security", "--offline=yes", "--no-pager", SERVICE)
    assert float(re.findall(r"Overall exposure level .*: ([\d.]+)", report)[0]) <= EXPOSED_AT_MOST, report


def test_device_files_are_made_for_each_gpu_that_the_driver_lists(tmp_path: Path) -> None:
    [line] = re.findall(r"^ExecStartPre=\+-/bin/sh -c '(.*)'$", SERVICE.read_text(), re.MULTILINE)
    for number, minor in enumerate(("0", "12")):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "information").write_text(f"Model: \t\t NVIDIA H100\nDevice Minor: \t {minor}\n")
    modprobe = tmp_path / "nvidia-modprobe"
    modprobe.write_text('#!/bin/sh\necho "modprobe $*"\n')
    modprobe.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    command = line.replace("/proc/driver/nvidia/gpus", str(tmp_path))
    done = subprocess.run(["sh", "-c", command], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "modprobe \nmodprobe -c 0\nmodprobe -c 12\n"
    # systemd.service(5): + does not bypass what applies to the whole control group, such as DevicePolicy=
    assert "DeviceAllow=char-195 rwm\n" in SERVICE.read_text()


def test_the_exporter_serves_on_a_socket_that_systemd_opened(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    activate = tool("systemd-socket-activate", "systemd")
    command = (activate, f"--listen={address}", "--setenv=DCGM_EXPORTER_SYSTEMD_SOCKET=true", sys.executable)
    log = tmp_path / "log"
    with log.open("wb") as file:
        process = subprocess.Popen((*command, "-m", "exporter", "--mock"), cwd=ROOT, stderr=file)
    try:
        until(lambda: "Listening on" in log.read_text(), log.read_text)
        with urllib.request.urlopen(f"http://{address}/health", timeout=PATIENCE_S) as answer:
            assert answer.status == 200
        assert "on systemd's socket" in log.read_text()
    finally:
        process.terminate()
        assert process.wait(PATIENCE_S) == 0, log.read_text()


@pytest.mark.parametrize("configuration", blocks(section(page("bare-metal"), "Prometheus"), "yaml"))
def test_prometheus_takes_the_scrape_configurations_of_the_page(configuration: str, tmp_path: Path) -> None:
    file = tmp_path / "prometheus.yml"
    text = configuration.replace("/etc/prometheus/", f"{tmp_path}/")
    for name in re.findall(rf"{tmp_path}/(\S+)", text):
        (tmp_path / name).write_text("")
    file.write_text(text)
    assert yaml.safe_load(text)["scrape_configs"]
    said(tool("promtool"), "check", "config", file)
