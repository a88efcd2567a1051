"""`top` as its users start it: in a pipe, of an exporter that runs, of one that is not there, without colour."""

import re
import subprocess
import sys
from pathlib import Path

from tests.certificates import Authority
from tests.integration.program import ROOT, Start, ended
from tests.unit.server.web_config.writing import HASH

COMMAND = (sys.executable, "-m", "exporter", "top")


def ran(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin", "COLUMNS": "200", "LC_ALL": "C.UTF-8", **variables}
    return subprocess.run(
        [*COMMAND, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=90, check=False
    )


def test_without_an_exporter_it_reads_the_gpus_itself() -> None:
    done = ran("--mock", "--once")
    assert done.returncode == 0, done.stderr
    assert "chat/llama-70b-6d8f9c7b5-kq2xw" in done.stdout
    assert len(re.findall(r"^ \d ", done.stdout, re.MULTILINE)) == 8
    assert "\x1b" not in done.stdout
    assert "mock GPUs" in done.stdout


def test_it_shows_an_exporter_elsewhere_and_a_pipe_gets_one_table_and_may_end_early(start: Start) -> None:
    program = start("--mock=a100-sxm")
    program.until(lambda: program.get("/ready")[0] == 200)
    [address] = set(re.findall(r"serving (http://\S+)/metrics", program.log()))
    done = ran("--url", f"{address}/metrics", LC_ALL="C")
    assert done.returncode == 0, done.stderr
    assert "3g.40gb" in done.stdout
    command = f"{sys.executable} -m exporter top --url {address}/metrics | head -1"
    done = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True, timeout=90, check=False)  # noqa: S602
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_the_exporter_of_this_machine_is_asked_as_its_web_configuration_has_it(start: Start, tmp_path: Path) -> None:
    config = tmp_path / "web.yml"
    tls = f"tls_server_config:\n  {Authority(tmp_path / 'ca').issue('exporter').files()}"
    config.write_text(f"{tls}basic_auth_users: {{alice: {HASH}}}\n")
    program = start("--mock=a100-sxm", f"--web-config-file={config}")
    program.until(lambda: "serving https" in program.log())
    [address] = re.findall(r"serving https://(\S+)/metrics", program.log())
    without = ran("--once", f"--address={address}", f"--web-config-file={config}")
    assert without.returncode == 1
    assert "answered 401" in without.stderr
    assert f"--url https://USER:PASSWORD@{address}/metrics" in without.stderr
    done = ran("--url", f"https://alice:password@{address}/metrics")
    assert done.returncode == 0, done.stderr
    assert "3g.40gb" in done.stdout


def test_without_an_exporter_what_reads_the_gpus_has_tls_where_the_settings_have(tmp_path: Path) -> None:
    (tmp_path / "web.yml").write_text(f"tls_server_config:\n  {Authority(tmp_path / 'ca').issue('one').files()}")
    done = ran("--mock=t4", "--once", f"--web-config-file={tmp_path / 'web.yml'}")
    assert done.returncode == 0, done.stderr
    assert "T4" in done.stdout


def test_without_an_exporter_a_password_keeps_it_from_reading_the_gpus_and_it_says_so(tmp_path: Path) -> None:
    config = tmp_path / "web.yml"
    config.write_text(f"basic_auth_users: {{alice: {HASH}}}")
    done = ran("--mock=t4", "--once", f"--web-config-file={config}")
    assert done.returncode == 1
    assert "--web-config-file: top can't read the GPUs itself" in done.stderr
    assert "--url" not in done.stderr  # of an exporter that has ended


def test_looking_at_mock_gpus_offers_kubelet_none(tmp_path: Path) -> None:
    (tmp_path / "nvidia-gpu.sock").touch()  # which no exporter with this setting would accept
    done = ran("--mock=t4", "--once", f"--mock-device-plugin={tmp_path}")
    assert done.returncode == 0, done.stderr


def test_a_file_that_cannot_be_used_is_one_sentence() -> None:
    no_config = "--web-config-file=/nowhere/web.yml"
    for done in ended(("top", "--once", no_config), ("top", "--once", "--mock", "-f", "/nowhere/counters.csv")):
        assert done.code == 2
        assert len(done.stderr.splitlines()) == 1
        assert "gpu-metrics-exporter: /nowhere/" in done.stderr


def test_an_exporter_that_is_not_there_is_one_sentence() -> None:
    done = ran("--url=http://127.0.0.1:9/metrics")
    assert done.returncode == 1
    assert "http://127.0.0.1:9/metrics refuses connections" in done.stderr
    assert "Traceback" not in done.stderr
