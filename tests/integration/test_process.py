"""The program as its users start it: exit codes, messages, signals, and files that change under it."""

import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.integration.program import ROOT, Start, ended
from tests.waiting import PATIENCE_S

ONE_COUNTER = "DCGM_FI_DEV_GPU_TEMP, gauge, Temperature.\n"
TWO_COUNTERS = ONE_COUNTER + "DCGM_FI_DEV_SM_CLOCK, gauge, Clock.\n"


@pytest.fixture
def no_nvml(tmp_path: Path) -> dict[str, str]:
    """Hide the machine's NVML behind a file that is no library."""
    (tmp_path / "libnvidia-ml.so.1").write_bytes(b"")
    return {"LD_LIBRARY_PATH": str(tmp_path)}


def refusal(ended_with: int, log: str, code: int) -> str:
    """Return the one sentence with which a program ended."""
    assert ended_with == code, log
    *before, last = log.splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\dT\S+ (INFO|WARNING) ", line) for line in before), log
    name, _, sentence = last.partition(": ")
    assert name == "gpu-metrics-exporter"
    return sentence


WRONG = {
    ("-f", "/nonexistent/counters.csv"): "/nonexistent/counters.csv: can't read the counters file",
    ("-c", "0"): "--collect-interval .* not '0'",
    ("-c", "-5"): "--collect-interval .* not '-5'",
    ("-c", "soon"): "--collect-interval .* not 'soon'",
    ("-d", "g:x"): "--devices .*'g:x'",
    (
        "--mock-device-plugin=/nonexistent",
    ): "--mock-device-plugin: /nonexistent is not a directory that this user can write",
    ("-d", "q"): "--devices .*'q'",
    ("--mock", "h900"): "'h900' is not known: use one of .*h100-sxm",
    ("--no-such-flag",): "--no-such-flag",
    ("--web-config-file", "/nonexistent.yml"): "/nonexistent.yml: can't read the web configuration file",
    ("-a", "nowhere"): "'nowhere'",
}


def test_a_wrong_setting_is_one_sentence() -> None:
    lines = [("--mock", *line) if "--mock" not in line else line for line in WRONG]
    for words, done in zip(WRONG.values(), ended(*lines), strict=True):
        assert re.search(words, refusal(done.code, done.stderr, 2))


@pytest.mark.parametrize("socket", ["nvidia-gpu.sock", "nvidiaGPU-1700000000.sock"])
def test_mock_gpus_do_not_take_the_place_of_real_ones(socket: str, tmp_path: Path) -> None:
    (tmp_path / socket).touch()
    [done] = ended(("--mock", f"--mock-device-plugin={tmp_path}"))
    assert f"{tmp_path / socket} is the socket of a device plugin for real GPUs" in refusal(done.code, done.stderr, 2)


NOT_USABLE = {
    "DCGM_EXPORTER_COLLECTORS": "/nonexistent.csv",
    "DCGM_EXPORTER_CONFIG_FILE": "/nonexistent.yaml",
    "DCGM_EXPORTER_MOCK": "/nonexistent.yaml",
    "DCGM_EXPORTER_LISTEN": "192.0.2.1:9400",
    "DCGM_EXPORTER_WEB_CONFIG_FILE": "/nonexistent.yml",
}


def test_what_can_not_be_used_is_named_with_the_setting_that_gave_it(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("version: 2\nmetrics: {file: /nonexistent.csv}\n")
    in_file = {"DCGM_EXPORTER_CONFIG_FILE": str(config)}
    given = [{"DCGM_EXPORTER_MOCK": "t4", name: value} for name, value in NOT_USABLE.items()]
    done = ended(*[("-k",)] * (len(given) + 1), variables=[*given, {"DCGM_EXPORTER_MOCK": "t4", **in_file}])
    sentences = [refusal(one.code, one.stderr, 2) for one in done]
    for sentence, (variable, value) in zip(sentences, NOT_USABLE.items(), strict=False):
        assert value in sentence
        assert sentence.endswith(f" (from {variable})")
    assert sentences[-1].endswith(f" (from {config}: metrics.file)")


def test_indices_that_nothing_has_end_the_program_where_gpus_are_required(start: Start) -> None:
    program = start("--mock=t4", "-d", "g:99")
    assert refusal(program.ends(), program.log(), 2) == "--devices names only indices that no GPU has"
    program = start("--mock=t4", "--disable-startup-validate", "-d", "g:99")
    program.until(lambda: "nothing on this machine matches --devices" in program.get("/health")[1])
    program.must_end()


def test_gpus_and_mig_instances_may_be_served_side_by_side(start: Start) -> None:
    program = start("--mock=a100-sxm", "-d", "g+i")
    program.until(lambda: 'GPU_I_ID="' in program.get("/metrics")[1])
    used = re.findall(r'^DCGM_FI_DEV_FB_USED{gpu="(\d+)"(.*)}', program.get("/metrics")[1], re.MULTILINE)
    instances = {gpu for gpu, labels in used if "GPU_I_ID" in labels}
    assert instances
    assert instances <= {gpu for gpu, labels in used if "GPU_I_ID" not in labels}


def test_a_port_that_is_taken_ends_the_program_with_2_and_one_sentence(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        program = start("--mock", DCGM_EXPORTER_LISTEN=address)
        sentence = refusal(program.ends(), program.log(), 2)
    assert sentence.startswith(f"--address {address}: the port is in use")


def test_an_unknown_counter_is_refused_with_file_and_line(tmp_path: Path) -> None:
    file = tmp_path / "counters.csv"
    file.write_text("# mine\n" + ONE_COUNTER + "DCGM_FI_DEV_GPU_TEMPO, gauge, Tempo.\n")
    [done] = ended(("--mock", "-f", str(file)))
    sentence = refusal(done.code, done.stderr, 2)
    assert sentence.startswith(f"{file}:3: unknown field 'DCGM_FI_DEV_GPU_TEMPO'; did you mean DCGM_FI_DEV_GPU_TEMP?")


def test_without_nvml_the_program_ends_with_1_and_says_what_to_do(start: Start, no_nvml: dict[str, str]) -> None:
    program = start(**no_nvml)
    assert program.ends() == 1
    assert "looks for real GPUs through NVML" in program.log().splitlines()[0]
    problems = [line for line in program.log().splitlines() if " INFO " not in line]
    assert len(problems) == 1
    assert " ERROR libnvidia-ml.so.1 was not found: install the NVIDIA driver" in problems[0]


@pytest.mark.parametrize("argument", ["-k", "--disable-startup-validate"])
def test_in_kubernetes_or_without_validation_it_serves_on_without_nvml(
    start: Start, no_nvml: dict[str, str], argument: str
) -> None:
    program = start(argument, **no_nvml)
    program.until(lambda: "libnvidia-ml.so.1 was not found" in program.get("/health")[1])
    assert program.get("/health")[0] == 200
    program.until(lambda: program.get("/ready")[0] == 200)
    assert "libnvidia-ml.so.1 was not found" in program.get("/ready")[1]
    assert program.value("gpu_exporter_nvml_up") == 0
    assert program.names() == set()
    assert "looks for real GPUs through NVML" in program.log().splitlines()[0]
    program.must_end()


def test_the_mock_is_announced_first_of_all_and_serves_every_default_counter(start: Start) -> None:
    program = start("--mock", "-k", "--enable-dcgm-log")
    program.until(lambda: program.get("/ready")[0] == 200)
    assert "serves MOCK GPUs of h100-sxm" in program.log().splitlines()[0]
    program.until(lambda: "DCGM_FI_PROF_GR_ENGINE_ACTIVE" in program.names())
    assert len(program.names()) >= 24
    assert 'source="mock"' in program.get("/metrics")[1]
    program.must_end(signal.SIGINT)


def test_sigusr1_lets_go_of_all_gpus_and_sigusr2_takes_them_again(start: Start) -> None:
    program = start("--mock", "-k=false")
    program.until(lambda: "DCGM_FI_DEV_GPU_TEMP" in program.names())
    program.send(signal.SIGUSR1)
    program.until(lambda: program.names() == set())
    program.until(lambda: program.value("gpu_exporter_nvml_up") == 0)
    status, text = program.get("/health")
    assert (status, "SIGUSR2 takes them back" in text) == (200, True)
    page = program.get("/metrics")[1]
    ups = re.findall(r"^gpu_exporter_gpu_up\{.*\} (\S+)$", page, re.MULTILINE)
    assert ups
    assert set(ups) == {"0.0"}
    assert program.value("gpu_exporter_released") == 1
    assert f'gpu_exporter_reading_errors_total{{reading="all",reason="released"}} {len(ups)}.0' in page
    program.send(signal.SIGUSR2)
    program.until(lambda: "DCGM_FI_DEV_GPU_TEMP" in program.names())
    program.until(lambda: program.value("gpu_exporter_nvml_up") == 1)
    assert program.value("gpu_exporter_released") == 0
    program.must_end()


def test_a_sigusr1_in_the_first_moment_is_taken_as_a_later_one_is(start: Start) -> None:
    program = start("--mock")
    program.until(lambda: "serves MOCK GPUs" in program.log())
    program.send(signal.SIGUSR1)
    program.until(lambda: "were let go" in program.get("/health")[1])
    program.send(signal.SIGUSR2)
    program.until(lambda: "DCGM_FI_DEV_GPU_TEMP" in program.names())
    program.must_end()


def test_a_debug_log_tells_of_no_xids_that_have_not_come(start: Start) -> None:
    program = start("--mock", "--debug", "-c", "100")
    program.until(lambda: program.value("gpu_exporter_nvml_up") == 1)
    first = program.value('gpu_exporter_snapshot_timestamp_seconds{gpu="0"}')
    program.until(lambda: program.value('gpu_exporter_snapshot_timestamp_seconds{gpu="0"}') > first + 1)
    assert "DEBUG" in program.log()
    assert "nvmlEventSetWait" not in program.log()
    program.must_end()


def test_a_mocks_pods_are_on_the_first_page_of_a_ready_exporter(start: Start) -> None:
    program = start("--mock", "-a", "127.0.0.1:0")
    program.until(lambda: program.get("/ready")[0] == 200)
    assert 'namespace="chat",pod="llama-405b-0"' in program.get("/metrics")[1]


def test_a_mocks_pods_stay_away_where_they_are_not_wanted(start: Start) -> None:
    program = start("--mock", "-k=false", "-a", "127.0.0.1:0")
    program.until(lambda: "\nDCGM_FI_DEV_GPU_UTIL{" in program.get("/metrics")[1])
    assert 'pod="' not in program.get("/metrics")[1]


def test_a_value_that_is_missing_is_named_as_the_counters_file_names_it(start: Start) -> None:
    program = start("--mock", "-a", "127.0.0.1:0")
    missing = (
        'gpu_exporter_reading_errors_total{reading="DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL",reason="not_supported"} 8.0'
    )
    program.until(lambda: missing in program.get("/metrics")[1])
    line = " INFO NVIDIA H100 80GB HBM3 has no DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL: not_supported"
    program.until(lambda: line in program.log())
    assert program.log().count(" has no ") == 1  # though there are eight of them


def test_a_changed_counters_file_is_read_again_and_a_bad_one_leaves_the_old_counters(
    start: Start, tmp_path: Path
) -> None:
    file = tmp_path / "counters.csv"
    file.write_text(ONE_COUNTER)
    program = start("--mock", "-f", str(file))
    program.until(lambda: program.names() == {"DCGM_FI_DEV_GPU_TEMP"})
    file.write_text(TWO_COUNTERS)
    program.until(lambda: program.names() == {"DCGM_FI_DEV_GPU_TEMP", "DCGM_FI_DEV_SM_CLOCK"})
    assert program.value("gpu_exporter_config_reload_success") == 1
    good_at = program.value("gpu_exporter_config_reload_success_timestamp_seconds")
    file.write_text(TWO_COUNTERS + "DCGM_FI_NONSENSE, gauge, Nothing.\n")
    program.until(lambda: program.value("gpu_exporter_config_reload_success") == 0)
    assert program.names() == {"DCGM_FI_DEV_GPU_TEMP", "DCGM_FI_DEV_SM_CLOCK"}
    assert program.value("gpu_exporter_config_reload_success_timestamp_seconds") == good_at
    assert program.log().count("the counters were not reloaded") == 1
    file.write_text(ONE_COUNTER)
    program.until(lambda: program.names() == {"DCGM_FI_DEV_GPU_TEMP"})
    assert program.value("gpu_exporter_config_reload_success") == 1
    program.must_end()


def test_sighup_reads_the_counters_again_though_nothing_has_changed(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "counters.csv"
    file.write_text(ONE_COUNTER)
    program = start("--mock", "-f", str(file))
    program.until(lambda: program.names() != set())
    for _ in range(3):
        program.send(signal.SIGHUP)
    program.until(lambda: f"counters read from {file}" in program.log())
    assert program.names() == {"DCGM_FI_DEV_GPU_TEMP"}
    program.must_end()


def test_a_mounted_config_maps_new_version_is_read(start: Start, tmp_path: Path) -> None:
    mount = tmp_path / "mounted"
    for version, text in (("..1", ONE_COUNTER), ("..2", TWO_COUNTERS)):
        (mount / version).mkdir(parents=True)
        (mount / version / "metrics.csv").write_text(text)
    (mount / "..data").symlink_to("..1")
    (mount / "metrics.csv").symlink_to("..data/metrics.csv")
    program = start("--mock", "-f", str(mount / "metrics.csv"))
    program.until(lambda: program.names() == {"DCGM_FI_DEV_GPU_TEMP"})
    (mount / "..data_tmp").symlink_to("..2")
    (mount / "..data_tmp").rename(mount / "..data")
    shutil.rmtree(mount / "..1")
    program.until(lambda: program.names() == {"DCGM_FI_DEV_GPU_TEMP", "DCGM_FI_DEV_SM_CLOCK"})
    program.must_end()


@pytest.mark.parametrize("at_s", [0, 1])
def test_sigterm_ends_the_program_though_a_call_hangs(start: Start, tmp_path: Path, at_s: int) -> None:
    scenario = tmp_path / "hang.yaml"
    fault = f"faults: [{{kind: hang, at_s: {at_s}, for_s: 3600}}]"
    scenario.write_text(f"gpus: [{{profile: h100-sxm, {fault}}}, {{profile: h100-sxm}}]")
    program = start("--mock", str(scenario), "-c", "100")
    program.until(lambda: 'DCGM_FI_DEV_GPU_TEMP{gpu="1"' in program.get("/metrics")[1])
    if at_s > 0:
        snapshot_of_0 = 'gpu_exporter_snapshot_timestamp_seconds{gpu="0"}'
        program.until(lambda: time.time() - program.value(re.escape(snapshot_of_0)) > 0.5)
    program.must_end()


@pytest.mark.parametrize(
    ("name", "argument", "text"),
    [("gpu-metrics-exporter", "--version", "gpu-metrics-exporter 0."), ("dcgm-exporter", "--help", "--collectors")],
)
def test_the_program_is_installed_under_both_names(name: str, argument: str, text: str) -> None:
    command = shutil.which(name, path=str(Path(sys.executable).parent))
    assert command is not None
    answer = subprocess.run([command, argument], capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    assert text in answer.stdout
    assert answer.stderr == ""


def test_a_limit_of_processes_that_lets_no_thread_start_is_told_in_one_sentence() -> None:
    """So large a stack can't be had, so that no thread starts, as at a limit of processes."""
    main = "import sys, threading; threading.stack_size(1 << 46); from exporter.cli.main import main; sys.exit(main())"
    command = (sys.executable, "-c", main, "-a", "127.0.0.1:0", "--disable-startup-validate")
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert ended.returncode == 1
    assert ended.stderr.endswith(
        "gpu-metrics-exporter: can't start a thread: raise this container's limit of processes (pids)\n"
    )
    assert "Traceback" not in ended.stderr
