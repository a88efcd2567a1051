from pathlib import Path

import pytest

from exporter.agent.check import check
from exporter.cli.flags import Serve, parse
from exporter.errors import ConfigError
from tests.unit.server.web_config.writing import HASH


def lines(*arguments: str) -> list[str]:
    asked = parse(arguments, {}, "host-1")
    assert isinstance(asked, Serve)
    return list(check(asked.settings))


def refusal(*arguments: str) -> str:
    with pytest.raises(ConfigError) as caught:
        lines(*arguments)
    return str(caught.value)


def test_it_says_what_is_read_from_where_and_how_often() -> None:
    gpus, interval, counters, pods, labels, address = lines("-c", "5000", "-a", "[::1]:9500", "--label-style", "4.9")
    assert gpus.startswith("GPUs: real ones, through NVML")
    assert interval == "Interval: 5 s"
    assert counters.endswith("default-counters.csv: 25 series per GPU, 1 labels")
    assert pods == "Pods: none, kubelet is not asked; add -k to ask it"
    assert labels == "Labels: as 4.9"
    assert address == "Address: http://[::1]:9500/metrics"


def test_a_mock_is_told_with_its_gpus_and_its_pods_are_shown_as_serving_shows_them(tmp_path: Path) -> None:
    scenario = tmp_path / "lab.yaml"
    scenario.write_text("gpus: [{profile: t4, count: 2}, {profile: a100-sxm}]")
    found = lines("--mock", str(scenario))
    assert found[0] == f"GPUs: MOCK, of {scenario}: 2 x Tesla T4, 1 x NVIDIA A100-SXM4-80GB, 0 pods"
    assert "Pods: none, kubelet is not asked; add -k to ask it" in found
    assert "Pods: from kubelet" in lines("--mock")
    assert "Pods: none, kubelet is not asked; add -k to ask it" in lines("--mock", "-k=false")


def test_indices_that_no_gpu_of_a_mock_has_are_warned_of() -> None:
    assert (
        lines("--mock", "-d", "g:0,8-9+i:3")[1] == "warning: --devices asks for GPUs that the mock does not have: 8, 9"
    )
    assert not any(line.startswith("warning: ") for line in lines("--mock", "-d", "g:0-7+i:3"))


def test_owners_are_told_as_far_as_they_are_asked_for(tmp_path: Path) -> None:
    found = lines(
        "-k", "--kubernetes-enable-pod-labels", "--kubernetes-enable-dra", f"--hpc-job-mapping-dir={tmp_path}"
    )
    assert "Pods: from kubelet, with labels, DRA" in found
    assert f"HPC jobs: from {tmp_path}" in found


def test_rows_that_are_skipped_are_warned_of(tmp_path: Path) -> None:
    counters = tmp_path / "mine.csv"
    counters.write_text("DCGM_FI_DEV_CPU_UTIL_TOTAL, gauge, x\n")
    warnings = [line for line in lines("-f", str(counters)) if line.startswith("warning: ")]
    assert len(warnings) == 2
    assert "it is about CPUs" in warnings[0]
    assert "no row of it makes" in warnings[1]


def test_what_is_wrong_is_named_with_the_setting_that_gave_it(tmp_path: Path) -> None:
    counters = tmp_path / "mine.csv"
    counters.write_text("NONSENSE, gauge, x\n")
    assert refusal("-f", str(counters)) == f"{counters}:1: unknown field 'NONSENSE' (from --collectors)"
    assert "(from --mock)" in refusal("--mock=h900")


def test_a_counter_of_the_configuration_file_is_named_by_its_place_there(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    rows = "".join(f"  - {{name: {name}, prometheusType: gauge, help: x}}\n" for name in ("DCGM_FI_DEV_FB_USED", "GPU"))
    config.write_text(f"version: 2\nmetrics:\n  fields:\n{rows}")
    assert refusal("--config-file", str(config)).startswith(f"{config}: metrics.fields:2: unknown field 'GPU'")


def test_web_configuration_is_read(tmp_path: Path) -> None:
    web = tmp_path / "web.yml"
    web.write_text(f"basic_auth_users: {{ann: {HASH}}}")
    assert "Passwords: required; users: 1" in lines("--web-config-file", str(web))
    web.write_text("basic_auth_users: {ann: secret}")
    assert refusal("--web-config-file", str(web)).startswith(f"{web}: basic_auth_users: the password of 'ann' is not ")
