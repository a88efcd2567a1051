"""The program from its first moment to its last: signals, closed pipes, and lines of JSON whatever happens."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from podresources.fake_kubelet import FakeKubelet
from podresources.fake_pods import Container, Pod
from tests.integration.program import END_S, ROOT, Program, Start, ended
from tests.waiting import PATIENCE_S

ENDING = (signal.SIGTERM, signal.SIGINT)


def has_taken_signals(program: Program) -> bool:
    """Say whether the program has begun: what the interpreter itself does before that, no program can change."""
    status = Path(f"/proc/{program.pid}/status").read_text()
    blocked = int(re.findall(r"^SigBlk:\s*(\w+)$", status, re.MULTILINE)[0], 16)
    caught = int(re.findall(r"^SigCgt:\s*(\w+)$", status, re.MULTILINE)[0], 16)
    return bool((blocked | caught) >> (signal.SIGHUP - 1) & 1)


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_in_the_first_moment_ends_the_program_well(start: Start, number: signal.Signals) -> None:
    program = start("--mock")
    program.until(lambda: has_taken_signals(program))
    program.send(number)
    assert program.ends() == 0
    assert "Traceback" not in program.log()


def test_a_sighup_in_the_first_moment_reads_the_counters_again(start: Start) -> None:
    program = start("--mock")
    program.until(lambda: has_taken_signals(program))
    program.send(signal.SIGHUP)
    program.until(lambda: "counters read from" in program.log())
    program.must_end()


@pytest.mark.parametrize("number", [*ENDING, signal.SIGHUP])
def test_signals_while_it_ends_change_nothing(start: Start, number: signal.Signals) -> None:
    program = start("--mock")
    program.until(lambda: program.get("/ready")[0] == 200)
    program.send(signal.SIGTERM)
    while program.is_running():
        program.send(number)
    assert program.ends(END_S) == 0, program.log()
    assert "Traceback" not in program.log()


def test_a_program_that_ends_early_leaves_nothing_in_the_temporary_folder(start: Start, tmp_path: Path) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    program = start("--mock", TMPDIR=str(folder))
    program.until(lambda: has_taken_signals(program))
    program.send(signal.SIGTERM)
    assert program.ends() == 0
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("module", ["exporter", "podresources", "exporter.cli.flags_doc"])
def test_a_closed_pipe_is_no_error(module: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        command = [sys.executable, "-m", module, "--help"]
        done = subprocess.run(command, cwd=ROOT, stdout=pipe, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_list_of_allocations_may_be_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "kubelet.sock"
    pods = [Pod("prod", f"infer-{i}", [Container("server", {"nvidia.com/gpu": [f"GPU-{i}"]})]) for i in range(2000)]
    with FakeKubelet(path, pods):
        command = f"{sys.executable} -m podresources --json --socket {path} | head -1"
        done = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S602
    assert (done.stdout, done.stderr) == ("[\n", "")


def test_an_interrupted_list_of_allocations_has_no_traceback(tmp_path: Path) -> None:
    path = tmp_path / "kubelet.sock"
    with socket.socket(socket.AF_UNIX) as silent:  # it takes connections, and never answers
        silent.bind(str(path))
        silent.listen()
        command = [sys.executable, "-m", "podresources", "--socket", str(path)]
        process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE)
        silent.settimeout(PATIENCE_S)
        silent.accept()[0].close()
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=PATIENCE_S)[1] == b""
    assert process.returncode == -signal.SIGINT


@pytest.mark.parametrize(("module", "code"), [("exporter", 1), ("podresources", 1)])
def test_an_output_that_can_not_be_written_is_one_sentence(module: str, code: int) -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", module, "--help"]
        done = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == code
    assert done.stderr.endswith("can't write to standard output: No space left on device\n")
    assert len(done.stderr.splitlines()) == 1


def test_the_program_goes_on_when_nobody_reads_its_log(tmp_path: Path) -> None:
    scenario = tmp_path / "lost.yaml"
    scenario.write_text("gpus: [{profile: t4, faults: [{kind: lost, at_s: 1}]}]")  # there is something to be logged
    reading, writing = os.pipe()
    command = [sys.executable, "-m", "exporter", "--mock", str(scenario), "-a", "127.0.0.1:0", "-c", "100"]
    with os.fdopen(writing, "w") as pipe:
        process = subprocess.Popen(command, cwd=ROOT, stderr=pipe)
    with os.fdopen(reading) as log:
        assert any("sampling GPU" in line for line in log)
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(3)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
    finally:
        process.kill()
        process.wait()


JSON_CASES = (
    ("--no-such-flag",),
    ("-c", "soon"),
    ("-f", "/nonexistent.csv"),
    ("--config-file", "/nonexistent.yaml"),
    ("--mock", "h900"),
    ("nonsense",),
    ("-a", "http://localhost:9400"),
)


def test_an_error_before_the_start_is_json_where_json_is_asked_for() -> None:
    lines = [(*line, *(() if "--mock" in line else ("--mock",)), "--log-format", "json") for line in JSON_CASES]
    for done in ended(*lines):
        assert done.code == 2
        assert [json.loads(line) for line in done.stderr.splitlines()][-1]["level"] == "ERROR"


def test_an_error_while_the_program_is_loaded_is_json_too(start: Start, tmp_path: Path) -> None:
    (tmp_path / "pynvml.py").write_text("raise ImportError('broken\\ninstallation')")
    program = start("--mock", DCGM_EXPORTER_LOG_FORMAT="json", PYTHONPATH=str(tmp_path))
    assert program.ends() == 1
    (line,) = (json.loads(line) for line in program.log().splitlines())
    assert line["level"] == "CRITICAL"
    assert "broken" in line["error"]


def test_every_line_of_a_running_program_is_json(start: Start) -> None:
    program = start("--mock", "-k", "--log-format=json", "--kubernetes-enable-pod-labels")
    program.until(lambda: program.get("/ready")[0] == 200)
    program.send(signal.SIGTERM)
    assert program.ends() == 0
    assert all(json.loads(line)["msg"] for line in program.log().splitlines())


@pytest.mark.skipif(not socket.has_ipv6, reason="there is no IPv6")
def test_the_url_of_an_ipv6_address_works(start: Start) -> None:
    program = start("--mock", DCGM_EXPORTER_LISTEN="[::1]:0")
    assert program.get("/health")[0] == 200
    assert re.search(r"serving http://\[::1\]:\d+/metrics", program.log())


def test_record_writes_a_file_for_each_gpu_that_the_mock_can_be(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl.gz"
    asked = ("--out", str(path), "--for", "20ms", "-c", "10")
    scenario = tmp_path / "lab.yaml"
    scenario.write_text("gpus: [{recording: mine.jsonl.gz, costs: sleep}]")
    commands = ("record", "--mock", "t4", *asked), ("record", "--mock", "rtx-4090", *asked)
    one, two, checked = ended(*commands, ("check", "--mock", str(scenario)))
    assert [(done.code, done.stderr) for done in (one, two, checked)] == [(0, "")] * 3
    assert one.stdout.startswith(f"{path}: GPU 0, Tesla T4, 3 frames, ")
    assert {file.name for file in tmp_path.glob("*.gz")} == {"mine.jsonl.gz", "mine-0.jsonl.gz", "mine-1.jsonl.gz"}
    assert "1 x Tesla T4" in checked.stdout


REFUSED = {
    ("record", "--mock", "t4", "--for=1ms", "--out=/nowhere/a.jsonl"): (
        "--out: can't write /nowhere/a.jsonl: No such file or directory"
    ),
    ("record", "--mock", "t4", "--for=1ms", "--out=a.txt"): "a path that ends in .jsonl or .jsonl.gz",
    ("record", "--mock", "t4", "--for=0"): "a duration above 0",
    ("check", "-c", "soon"): "'soon'",
    ("check", "-f", "/nonexistent.csv"): "/nonexistent.csv",
    ("check", "--mock", "h900"): "'h900'",
    ("check", "-m", "monitoring:counters"): "",
    ("--check", "-k"): "gpu-metrics-exporter: --check is a command, not a flag; write it without dashes\n",
    ("chekc", "-k"): (
        "gpu-metrics-exporter: unknown command 'chekc' (did you mean check?); the commands are serve, check, cost,"
        " doctor, record, top\n"
    ),
}


def test_what_a_command_can_not_do_is_one_sentence() -> None:
    for sentence, done in zip(REFUSED.values(), ended(*REFUSED), strict=True):
        assert (done.code, done.stdout) == (2, "")
        assert sentence in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_check_says_what_would_happen_and_ends_with_0() -> None:
    [done] = ended(("check", "--mock", "--enable-pprof"), variables=[{"DCGM_EXPORTER_KUBERNETS": "1"}])
    assert (done.code, done.stderr) == (0, "")
    first, *_, last = done.stdout.splitlines()
    assert first.startswith("GPUs: MOCK, of h100-sxm")
    assert "warning: unknown variable DCGM_EXPORTER_KUBERNETS" in done.stdout
    assert last == "The settings are valid; warnings: 2."
