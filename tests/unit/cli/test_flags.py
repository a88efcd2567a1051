"""Flags, variables and the configuration file, up to Settings: syntax, order, and what is refused."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.cli.flag_table import FLAGS
from exporter.cli.flags import Serve, Show, parse
from exporter.errors import ConfigError
from exporter.settings import LabelStyle
from tests.unit.cli.parsing import HOST, error, serve, settings


def test_a_switch_that_asks_for_nothing_gives_no_notice() -> None:
    assert serve(["-k=false", "--enable-pprof=0", "--hpc-job-mapping-dir="]).notices == ()


def test_a_flag_that_is_not_implemented_yet_says_so() -> None:
    (notice,) = serve(["--container-labels"]).notices
    assert notice.startswith("--container-labels is accepted, but not implemented yet")
    assert "are not looked up" in notice


def test_flags_that_work_say_nothing() -> None:
    assert serve(["-k", "--kubernetes-enable-pod-labels", "--kubernetes-enable-dra"]).notices == ()


def test_the_gpu_operators_environment_starts() -> None:
    found = settings(
        DCGM_EXPORTER_LISTEN=":9400",
        DCGM_EXPORTER_KUBERNETES="true",
        DCGM_EXPORTER_COLLECTORS="/etc/dcgm-exporter/dcp-metrics-included.csv",
        NODE_NAME="gpu-node-7",
        PATH="/usr/bin",
    )
    assert found == replace(
        settings(),
        kubernetes=True,
        collectors="/etc/dcgm-exporter/dcp-metrics-included.csv",
        given={
            "address": "DCGM_EXPORTER_LISTEN",
            "kubernetes": "DCGM_EXPORTER_KUBERNETES",
            "collectors": "DCGM_EXPORTER_COLLECTORS",
        },
        hostname="gpu-node-7",
    )


def test_a_flag_without_the_flag_that_it_needs_says_so() -> None:
    uid = "--kubernetes-enable-pod-uid"
    assert serve([uid]).notices == (f"{uid} has no effect without --kubernetes",)
    assert serve([uid, "-k"]).notices == ()
    assert serve([uid, "--mock"]).notices == ()  # whose pods turn it on
    assert serve([uid, "--mock", "-k=false"]).notices == (f"{uid} has no effect without --kubernetes",)


@pytest.mark.parametrize("place", ["--mock-steering-port", "DCGM_EXPORTER_MOCK_STEERING_PORT"])
def test_steering_without_a_mock_is_refused(place: str) -> None:
    message = error(f"{place}=9500") if place.startswith("-") else error(**{place: "9500"})
    assert message == f"{place} is '9500', but there is no mock; add --mock"
    assert settings("--mock-steering-port=0").mock_steering_port == 0
    assert settings("--mock-steering-port=9500", "--fake-gpus").mock_steering_port == 9500


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("DCGM_EXPORTER_KUBERNETS", "DCGM_EXPORTER_KUBERNETES"),
        ("DCGM_EXPORTER_COLLECTOR", "DCGM_EXPORTER_COLLECTORS"),
        ("DCGM_EXPORTER_LISTEN_PORT", "DCGM_EXPORTER_LISTEN"),
        ("DCGM_EXPORTER_XYZZY", None),
    ],
)
def test_a_variable_that_means_nothing_is_named_with_the_nearest_one(name: str, nearest: str | None) -> None:
    (notice,) = serve(environ={name: "1", "PATH": "/bin", "DCGM_EXPORTER_LISTEN": ":1"}).notices
    meant = f" (did you mean {nearest}?)" if nearest else ""
    assert notice == f"unknown variable {name}{meant}"


def test_the_variables_of_a_service_of_the_same_name_are_kubernetes_own() -> None:
    of_services = {
        "DCGM_EXPORTER_SERVICE_HOST": "10.0.0.1",
        "DCGM_EXPORTER_SERVICE_PORT": "9400",
        "DCGM_EXPORTER_SERVICE_PORT_METRICS": "9400",
        "DCGM_EXPORTER_PORT": "tcp://10.0.0.1:9400",
        "DCGM_EXPORTER_PORT_9400_TCP": "tcp://10.0.0.1:9400",
        "DCGM_EXPORTER_PORT_9400_TCP_PROTO": "tcp",
        "DCGM_EXPORTER_PORT_9400_TCP_PORT": "9400",
        "DCGM_EXPORTER_PORT_9400_TCP_ADDR": "10.0.0.1",
        "DCGM_EXPORTER_CANARY_SERVICE_HOST": "10.0.0.2",
        "DCGM_EXPORTER_EMPTY": "",
    }
    assert serve(environ=of_services).notices == ()


def test_an_interval_that_was_meant_in_seconds_is_warned_of() -> None:
    (notice,) = serve(["-c", "30"]).notices
    assert notice == "--collect-interval is 30 milliseconds, so every GPU is read 33 times per second"
    assert serve(["-c", "100"]).notices == ()
    (notice,) = serve(environ={"DCGM_EXPORTER_INTERVAL": "15"}).notices
    assert notice.startswith("DCGM_EXPORTER_INTERVAL is 15 milliseconds, so every GPU")


def test_a_flag_counts_before_its_variable_and_that_before_the_file(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("version: 1\ncollection: {interval: 30s}\n")
    from_file = {"DCGM_EXPORTER_CONFIG_FILE": str(config)}
    variable = {"DCGM_EXPORTER_INTERVAL": "2000"}
    assert serve(["-c=500"], variable | from_file).settings.collect_interval_s == 0.5
    assert serve([], variable | from_file).settings.collect_interval_s == 2
    assert serve([], from_file).settings.collect_interval_s == 30
    assert serve([], {}).settings.collect_interval_s == 1


def test_an_empty_variable_is_unset(tmp_path: Path) -> None:
    empty = {flag.variable: "" for flag in FLAGS if flag.variable} | {"NODE_NAME": ""}
    assert serve([], empty).settings == settings()
    config = tmp_path / "config.yaml"
    config.write_text("version: 1\ncollection: {interval: 30s}\n")
    assert serve([f"--config-file={config}"], empty).settings.collect_interval_s == 30


def test_a_false_flag_counts_before_a_true_variable() -> None:
    assert settings("-k=false", DCGM_EXPORTER_KUBERNETES="true").kubernetes is False


def test_lists_are_joined_over_repetitions_and_a_flag_replaces_its_variable() -> None:
    found = settings("--nvidia-resource-names=a,b", "--nvidia-resource-names", "c", NVIDIA_RESOURCE_NAMES="d")
    assert found.nvidia_resource_names == ("a", "b", "c")
    assert settings(NVIDIA_RESOURCE_NAMES=" d ,,e").nvidia_resource_names == ("d", "e")


def test_the_last_of_a_repeated_flag_counts_and_each_is_checked() -> None:
    assert settings("-c=1", "--collect-interval=2", "-c", "3").collect_interval_s == 0.003
    assert error("-c=x", "-c=1").startswith("--collect-interval takes")


def test_a_bad_regular_expression_is_named() -> None:
    name = "--kubernetes-pod-label-allowlist-regex"
    assert error(f"{name}=ok,a(b").startswith(f"{name} takes comma-separated regular expressions")
    assert "'a(b': missing )" in error(f"{name}=ok,a(b")
    assert r"'\\C': invalid escape sequence" in error(DCGM_EXPORTER_KUBERNETES_POD_LABEL_ALLOWLIST_REGEX=r"\C")


def test_regular_expressions_are_gos() -> None:
    name = "--kubernetes-pod-label-allowlist-regex"
    assert settings(rf"{name}=[[:alpha:]],\pL\z").pod_label_allowlist == ("[[:alpha:]]", r"\pL\z")


def test_the_next_argument_is_the_value_whatever_it_looks_like() -> None:
    assert settings("--collectors", "-k").collectors == "-k"


@pytest.mark.parametrize("argument", ["true", "false", "-", "x"])
def test_an_argument_that_belongs_to_no_flag_is_refused(argument: str) -> None:
    message = error("--kubernetes", argument)
    assert repr(argument) in message
    assert "--kubernetes=true" in message
    assert repr(argument) in error("--", argument)


def test_two_dashes_alone_end_the_flags() -> None:
    assert settings("-k", "--") == settings("-k")
    assert "'-o'" in error("-k", "--", "-o")


@pytest.mark.parametrize("argument", ["---k", "--=1", "-=1"])
def test_dashes_without_a_name_are_refused(argument: str) -> None:
    assert error(argument) == f"{argument!r} is not a flag: a name must follow one or two dashes"


def test_a_missing_value_is_named() -> None:
    assert error("-k", "--address") == "the flag --address needs a value"
    assert error("-f") == "the flag -f needs a value"


def test_an_unknown_flag_is_refused_with_the_nearest_one() -> None:
    assert error("-kubernets=true") == "unknown flag -kubernets (did you mean --kubernetes?); --help lists the flags"
    assert error("-kf") == "unknown flag -kf; --help lists the flags"


@pytest.mark.parametrize(
    ("arguments", "mock"),
    [
        ([], None),
        (["--mock"], "h100-sxm"),
        (["--mock", "-k"], "h100-sxm"),
        (["--mock", "--"], "h100-sxm"),
        (["--mock=true"], "h100-sxm"),
        (["--mock=t4"], "t4"),
        (["--mock", "t4"], "t4"),
        (["-mock", "scenario.yaml", "-k"], "scenario.yaml"),
        (["--fake-gpus"], "h100-sxm"),
        (["--fake-gpus=false"], None),
        (["--fake-gpus", "--mock=t4"], "t4"),
        (["--fake-gpus", "--mock=false"], None),
    ],
)
def test_only_a_flag_turns_the_mock_on(arguments: list[str], mock: str | None) -> None:
    assert settings(*arguments).mock == mock


def test_variables_turn_the_mock_on_as_their_flags_do() -> None:
    assert settings(DCGM_EXPORTER_MOCK="a100-sxm").mock == "a100-sxm"
    assert settings(DCGM_EXPORTER_USE_FAKE_GPUS="1").mock == "h100-sxm"
    assert settings("--mock=t4", DCGM_EXPORTER_USE_FAKE_GPUS="1").mock == "t4"


def test_an_empty_mock_is_refused_rather_than_real() -> None:
    assert error("--mock=") == "--mock takes a profile or a scenario file, not ''"


def test_the_label_style_is_one_of_three() -> None:
    assert settings("--label-style=4.8.3").label_style is LabelStyle.V4_8_3
    assert settings(DCGM_EXPORTER_LABEL_STYLE="4.9").label_style is LabelStyle.V4_9
    assert error("--label-style=4.8") == "--label-style takes classic, 4.8.3 or 4.9, not '4.8'"


def test_the_interval_has_a_highest_value() -> None:
    assert settings("-c=86400000").collect_interval_s == 86400
    assert error("-c=86400001") == (
        "--collect-interval takes a whole number of milliseconds from 1 to 86400000, not '86400001'"
    )


@pytest.mark.parametrize("argument", ["--help", "-h", "--h=true"])
def test_help_is_shown_whatever_else_is_asked_for(argument: str) -> None:
    assert parse(["-k", argument, "--version"], {"DCGM_EXPORTER_INTERVAL": "x"}, HOST) is Show.HELP


def test_version_is_shown() -> None:
    assert parse(["-v"], {}, HOST) is Show.VERSION
    assert parse(["--version"], {}, HOST) is Show.VERSION
    assert isinstance(parse(["--version=false"], {}, HOST), Serve)


def sentence(arguments: Sequence[str]) -> str:
    try:
        parse(arguments, {}, HOST)
    except ConfigError as caught:
        return str(caught)
    return ""


@given(st.lists(st.sampled_from(["-k", "--mock", "-c", "--", "5", "-d=g:1", "--debug=f"]) | st.text(max_size=6)))
def test_any_command_line_is_settings_or_one_sentence(arguments: list[str]) -> None:
    assert len(sentence(arguments).splitlines()) <= 1
