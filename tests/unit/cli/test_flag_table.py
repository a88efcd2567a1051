"""The table of flags, walked whole beside dcgm-exporter's: names, defaults, values, notices, help and docs."""

import csv
import re
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from exporter.cli.flag_table import FLAGS, Flag, Status
from exporter.settings import (
    ConfigMapName,
    DeviceKind,
    DeviceSelection,
    ListenAddress,
    LogFormat,
    Settings,
)
from tests.unit.cli.parsing import error, serve, settings


class Example(NamedTuple):
    """A value that is not the default, the setting that it changes and to what, and a text that is refused."""

    text: str
    setting: str | None
    value: Any
    bad: str | None


EXAMPLES: Mapping[str, tuple[str, str | None, Any, str | None]] = {
    "collectors": ("/tmp/c.csv", "collectors", "/tmp/c.csv", ""),  # noqa: S108
    "address": ("[::1]:80", "address", ListenAddress("::1", 80), "9400"),
    "collect-interval": ("250", "collect_interval_s", 0.25, "0"),
    "kubernetes": ("T", "kubernetes", True, "yes"),
    "use-old-namespace": ("true", "use_old_namespace", True, "yes"),
    "cpu-devices": ("g:0+i", None, None, "x"),
    "configmap-data": ("ns:map", "configmap", ConfigMapName("ns", "map"), "map"),
    "remote-hostengine-info": ("dcgm:5555", None, None, None),
    "kubernetes-enable-pod-labels": ("1", "enable_pod_labels", True, "2"),
    "kubernetes-enable-pod-uid": ("1", "enable_pod_uid", True, "on"),
    "kubernetes-gpu-id-type": ("device-name", None, None, "uuid"),
    "kubernetes-pod-label-allowlist-regex": ("^app$,team", "pod_label_allowlist", ("^app$", "team"), "("),
    "devices": ("g:0,2-3", "devices", (DeviceSelection(DeviceKind.GPUS, frozenset({0, 2, 3})),), "f:1"),
    "no-hostname": ("TRUE", "no_hostname", True, "-"),
    "switch-devices": ("g", None, None, "g:x"),
    "fake-gpus": ("true", "mock", "h100-sxm", "h100"),
    "web-config-file": ("/web.yaml", "web_config_file", "/web.yaml", None),
    "xid-count-window-size": ("1000", "xid_window_ms", 1000, "0"),
    "replace-blanks-in-model-name": ("True", "replace_blanks_in_model_name", True, "no"),
    "debug": ("t", "debug", True, "2"),
    "clock-events-count-window-size": ("0x10", "clock_window_ms", 16, "-5"),
    "enable-dcgm-log": ("true", None, None, "verbose"),
    "dcgm-log-level": ("WARN", None, None, "warn"),
    "log-format": ("json", "log_format", LogFormat.JSON, "JSON"),
    "pod-resources-kubelet-socket": ("/k.sock", "pod_resources_socket", "/k.sock", ""),
    "hpc-job-mapping-dir": ("/jobs", "hpc_job_mapping_dir", "/jobs", None),
    "nvidia-resource-names": ("nvidia.com/a, b", "nvidia_resource_names", ("nvidia.com/a", "b"), None),
    "kubernetes-virtual-gpus": ("true", "virtual_gpus", True, "mps"),
    "dump-enabled": ("true", None, None, "x"),
    "dump-directory": ("/dumps", None, None, None),
    "dump-retention": ("48", None, None, "2d"),
    "dump-compression": ("true", None, None, "gzip"),
    "kubernetes-enable-dra": ("true", "enable_dra", True, "x"),
    "disable-startup-validate": ("true", "disable_startup_validate", True, "x"),
    "enable-gpu-bind-unbind-watch": ("true", "gpu_bind_unbind_watch", True, "1s"),
    "gpu-bind-unbind-poll-interval": ("1m30s", "gpu_bind_unbind_poll_s", 90.0, "0s"),
    "enable-pprof": ("true", None, None, "x"),
    "web-systemd-socket": ("true", "systemd_socket", True, "x"),
    "config-file": ("", None, None, "/missing.yaml"),
    "web-read-timeout": ("500ms", "web_read_timeout_s", 0.5, "10"),
    "web-write-timeout": ("1m", "web_write_timeout_s", 60.0, "-1s"),
    "enable-exporter-metrics": ("true", None, None, "x"),
    "max-concurrent-scrapes": ("16", "max_concurrent_scrapes", 16, "-1"),
    "health-require-gpus": ("true", "health_require_gpus", True, "x"),
    "container-labels": ("true", None, None, "x"),
    "container-runtime-socket": ("/c.sock", None, None, None),
    "watch-max-keep-age": ("5m", None, None, "10"),
    "watch-max-keep-samples": ("100", None, None, "all"),
}


class Row(NamedTuple):
    """A flag of dcgm-exporter; `ours` is the default here, where it is another."""

    flag: str
    shorthand: str
    environment: str
    type: str
    default: str
    ours: str
    since: str


def example(row: Row) -> Example:
    return Example(*EXAMPLES[row.flag])


def read_rows() -> list[Row]:
    with (Path(__file__).parent / "data/dcgm-exporter-flags.csv").open() as file:
        return [Row(**row) for row in csv.DictReader(file)]


ROWS = read_rows()


def rows(choose: Callable[[Row], bool] = lambda _: True) -> pytest.MarkDecorator:
    chosen = [row for row in ROWS if choose(row)]
    return pytest.mark.parametrize("row", chosen, ids=[row.flag for row in chosen])


def flag_of(row: Row) -> Flag:
    return next(flag for flag in FLAGS if flag.name == row.flag)


def spellings(row: Row, text: str) -> list[tuple[list[str], dict[str, str]]]:
    """Every way to give a row's flag a value: arguments and environment."""
    ways: list[tuple[list[str], dict[str, str]]] = []
    for name in filter(None, (row.flag, row.shorthand)):
        ways += [([f"--{name}={text}"], {}), ([f"-{name}={text}"], {})]
        if row.type != "bool":
            ways += [([f"--{name}", text], {}), ([f"-{name}", text], {})]
        elif text == "true":
            ways += [([f"--{name}"], {}), ([f"-{name}"], {})]
    if row.environment and text:
        ways.append(([], {row.environment: text}))
    return ways


@rows()
def test_every_flag_has_dcgm_exporters_names_and_the_default(row: Row) -> None:
    flag = flag_of(row)
    assert (flag.shorthand, flag.variable, flag.default) == (row.shorthand, row.environment, row.ours)


@rows(lambda row: bool(row.ours))
def test_every_flag_given_its_default_changes_nothing(row: Row) -> None:
    for arguments, environ in spellings(row, row.ours):
        changed = serve(arguments, environ).settings
        assert replace(changed, given={}) == settings()


@rows()
def test_every_flag_sets_its_setting_in_every_spelling(row: Row) -> None:
    text, setting, value, _ = example(row)
    expected = settings() if setting is None else replace(settings(), **{setting: value})
    for arguments, environ in spellings(row, text):
        found = serve(arguments, environ).settings
        assert replace(found, given={}) == expected
        assert found.place(row.flag) == (row.environment if environ else f"--{row.flag}")


@rows(lambda row: example(row).bad is not None)
def test_every_flag_refuses_a_bad_value_and_names_place_and_value(row: Row) -> None:
    bad = example(row).bad or ""
    for arguments, environ in spellings(row, bad):
        place = row.environment if environ else f"--{row.flag}"
        message = error(*arguments, **environ)
        if row.flag == "config-file":
            why = "/missing.yaml: can't read the configuration file: No such file or directory"
            assert message == f"{why} (from {place})"
        else:
            assert message.startswith(f"{place} takes ")
            assert f"not {bad!r}" in message


@rows()
def test_every_flag_without_effect_says_so_once(row: Row) -> None:
    flag = flag_of(row)
    for arguments, environ in spellings(row, example(row).text):
        place = row.environment if environ else f"--{row.flag}"
        notices = serve(arguments, environ).notices
        if flag.status is Status.WORKS and flag.needs:
            assert notices == (f"{place} has no effect without --{flag.needs}",)
        elif flag.status is Status.WORKS:
            assert notices == ()
        else:
            assert len(notices) == 1
            assert notices[0].startswith(f"{place} is accepted")


def test_the_table_has_dcgm_exporters_flags_and_nine_more() -> None:
    assert {flag.name for flag in FLAGS} - {row.flag for row in ROWS} == {
        "mock",
        "mock-steering-port",
        "mock-device-plugin",
        "label-style",
        "busy-seconds",
        "mean-gpu-util",
        "xid-reset-after",
        "help",
        "version",
    }
    assert EXAMPLES.keys() == {row.flag for row in ROWS}


def test_no_two_flags_share_a_name_a_variable_or_a_setting() -> None:
    names = [name for flag in FLAGS for name in (flag.name, flag.shorthand) if name]
    variables = [flag.variable for flag in FLAGS if flag.variable]
    set_by_flags = [flag.setting for flag in FLAGS if flag.setting]
    for values in (names, variables, set_by_flags):
        assert len(values) == len(set(values))
    assert {*set_by_flags, "given", "inline_counters", "hostname"} == {field.name for field in fields(Settings)}


EXPORTER = Path(__file__).parents[3] / "exporter"
PARSERS_OWN = {"fake-gpus", "help", "version"}


def test_a_flag_has_a_setting_if_and_only_if_it_works() -> None:
    with_setting = {flag.name for flag in FLAGS if flag.setting}
    assert with_setting == {flag.name for flag in FLAGS if flag.status is Status.WORKS} - PARSERS_OWN


def test_every_setting_is_read_where_the_work_is_done() -> None:
    texts = [path.read_text() for path in (EXPORTER / "agent").glob("*.py")]
    commands = (EXPORTER / "cli/commands.py").read_text()
    for field in fields(Settings):
        read = re.compile(rf"settings\.{field.name}\b")
        assert any(map(read.search, (*texts, commands))), f"nothing reads {field.name}"


def test_flags_that_do_not_work_say_why() -> None:
    assert all((flag.status is Status.WORKS) != bool(flag.note) for flag in FLAGS)
