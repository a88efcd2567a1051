"""dcgm-exporter's YAML configuration file."""

import csv
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from exporter.cli.config_file import KEYS, parse_config, read_config
from exporter.cli.flag_table import FLAGS
from exporter.cli.flags import Serve, parse
from exporter.errors import ConfigError

VERSION_1 = """\
version: 1
metrics:
  file: /etc/dcgm-exporter/mine.csv
  enableExporterMetrics: true
collection:
  interval: 30s
  retention: {maxAge: 5m, maxSamples: 3}
  watchGroups:
    - name: fast
      interval: 5s
      fields: [DCGM_FI_DEV_GPU_TEMP]
sources:
  dcgm:
    detectBindUnbind: {enabled: true, pollInterval: 250ms}
server:
  maxConcurrentScrapes: 8
"""
VERSION_2 = """\
version: 2
metrics:
  fields:
    - name: DCGM_FI_DEV_GPU_TEMP
      prometheusType: gauge
      help: Temperature, "core" (C)
    - {name: DCGM_FI_DEV_POWER_USAGE, prometheusType: gauge, help: Watts}
collections:
  - name: scrape
    every: 1.001s
    metrics: {include: ["*"]}
  - name: slow
    every: 5m
    metrics: {include: [DCGM_FI_DEV_NVLINK_*]}
    sources: {dcgm: {watch: {maxKeepAge: 0s, maxKeepSamples: 2}}}
sources:
  dcgm:
    watch: {maxKeepAge: 10m}
"""


def serve(tmp_path: Path, text: str, *arguments: str) -> Serve:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    command = parse([f"--config-file={path}", *arguments], {}, "host-1")
    assert isinstance(command, Serve)
    return command


def error(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "c.yaml")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_version_1_sets_what_its_keys_stand_for(tmp_path: Path) -> None:
    command = serve(tmp_path, VERSION_1)
    found = command.settings
    assert found.collectors == "/etc/dcgm-exporter/mine.csv"
    assert "collectors" in found.given
    assert found.collect_interval_s == 30
    assert found.gpu_bind_unbind_watch
    assert found.gpu_bind_unbind_poll_s == 0.25
    assert found.max_concurrent_scrapes == 8
    path = tmp_path / "config.yaml"
    assert found.config_file == str(path)
    assert [notice.partition(" is accepted")[0] for notice in command.notices] == [
        f"{path}: metrics.enableExporterMetrics",
        f"{path}: collection.retention.maxAge",
        f"{path}: collection.retention.maxSamples",
        f"{path}: collection.watchGroups[0]",
    ]


def test_version_2_takes_the_interval_from_the_collection_of_all_fields(tmp_path: Path) -> None:
    command = serve(tmp_path, VERSION_2)
    assert command.settings.collect_interval_s == 1.001
    assert "collectors" not in command.settings.given
    assert [notice.partition(" is accepted")[0] for notice in command.notices] == [
        f"{tmp_path}/config.yaml: sources.dcgm.watch.maxKeepAge",
        f"{tmp_path}/config.yaml: collections[1]",
    ]


def test_counters_in_the_file_are_a_counters_file(tmp_path: Path) -> None:
    text = serve(tmp_path, VERSION_2).settings.inline_counters
    assert list(csv.reader(text.splitlines())) == [
        ["DCGM_FI_DEV_GPU_TEMP", "gauge", 'Temperature, "core" (C)'],
        ["DCGM_FI_DEV_POWER_USAGE", "gauge", "Watts"],
    ]


@pytest.mark.parametrize("argument", ["--collectors=/x.csv", "--configmap-data=a:b", "--configmap-data=none"])
def test_a_flag_that_names_counters_replaces_those_in_the_file(tmp_path: Path, argument: str) -> None:
    assert serve(tmp_path, VERSION_2, argument).settings.inline_counters == ""


def test_every_key_stands_for_a_flag_in_each_of_its_versions() -> None:
    names = {flag.name for flag in FLAGS}
    for key in KEYS:
        assert key.flag in names
        *sections, last = key.path.split(".")
        text = "".join(f"{'  ' * depth}{section}:\n" for depth, section in enumerate(sections))
        text += f"{'  ' * len(sections)}{last}: 1s\n"
        for version in (1, 2):
            document = f"version: {version}\n{text}"
            if version in key.versions:
                assert parse_config(document, "c.yaml").texts[key.flag][1] == f"c.yaml: {key.path}"
            else:
                assert "has no key" in error(document)


def test_a_section_without_values_is_as_good_as_none() -> None:
    found = parse_config("version: 2\nmetrics:\nserver: {maxConcurrentScrapes: }\ncollections: []\n", "c.yaml")
    assert (found.texts, found.counters, found.notices) == ({}, "", ())


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "c.yaml: is empty; expected a mapping of keys and values"),
        ("- version: 1", "c.yaml: is a list; expected a mapping of keys and values"),
        ("metrics: {}", "c.yaml: version must be 1 or 2, not empty"),
        ("version: 3", "c.yaml: version must be 1 or 2, not 3"),
        ("version: true", "c.yaml: version must be 1 or 2, not True"),
        ("version: [1]", "c.yaml: version must be 1 or 2, not a list"),
        ("version: 1\nversion: 1", "c.yaml:2: the key 'version' is repeated"),
        ("version: 2\nserver:\n  a: 1\n  a: 2", "c.yaml:4: the key 'a' is repeated"),
        ("version: 1\n---\nversion: 1", "c.yaml:2: this is not YAML: but found another document"),
        ("version: {", "c.yaml:1: this is not YAML: expected the node content, but found '<stream end>'"),
        ("version: 1\nx: &a !!int", "c.yaml: this is not YAML: "),
        (
            "version: 2\nserver: {maxConcurrentScrape: 1}",
            "c.yaml: this version of the file has no key server.maxConcurrentScrape (did you mean server.maxConc",
        ),
        ("version: 2\nlabels: {}", "c.yaml: this version of the file has no key labels"),
        ("version: 2\nserver: 16", "c.yaml: server takes keys and values, not 16"),
        ("version: 2\nserver: {maxConcurrentScrapes: [1]}", "c.yaml: server.maxConcurrentScrapes takes a single value"),
        (
            "version: 1\ncollection: {interval: 30}",
            "c.yaml: collection.interval takes a duration of whole milliseconds such as 500ms or 30s, not '30'",
        ),
        ("version: 1\ncollection: {interval: 0s}", "c.yaml: collection.interval takes a duration"),
        ("version: 1\ncollection: {interval: 1.5ms}", "c.yaml: collection.interval takes a duration"),
        (
            "version: 2\nmetrics: {file: a, fields: [{name: a, prometheusType: gauge, help: b}]}",
            "c.yaml: metrics takes file or fields, not both",
        ),
        ("version: 2\nmetrics: {fields: x}", "c.yaml: metrics.fields takes a list, not 'x'"),
        ("version: 2\nmetrics: {fields: [x]}", "c.yaml: metrics.fields[0] takes keys and values, not 'x'"),
        ("version: 2\nmetrics: {fields: [{name: a, help: b}]}", "c.yaml: metrics.fields[0]: prometheusType is missing"),
        ("version: 2\ncollections: [{every: 1s}]", "c.yaml: collections[0]: name is missing"),
        ("version: 2\ncollections: [{name: a, every: 1}]", "c.yaml: collections[0].every takes a duration"),
        ("version: 2\ncollections: [{name: a, every: 1s}]", "c.yaml: collections[0]: metrics.include is missing"),
        (
            "version: 2\ncollections:\n- &a {name: a, every: 1s, metrics: {include: [X]}}\n- *a",
            "c.yaml: collections[1].name: 'a' is repeated",
        ),
        (
            "version: 2\ncollections:\n- &a {every: 1s, metrics: {include: ['*']}, name: a}\n- {<<: *a, name: b}",
            "c.yaml: collections[1] includes all fields, but an earlier collection already does",
        ),
        ("version: 1\ncollection: {watchGroups: [{every: 1s}]}", "c.yaml: collection.watchGroups[0]: this version"),
    ],
)
def test_what_is_wrong_is_one_sentence_that_names_file_and_key(text: str, sentence: str) -> None:
    assert error(text).startswith(sentence)


def test_a_value_that_its_flag_refuses_names_the_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        serve(tmp_path, "version: 2\nserver: {maxConcurrentScrapes: many}\n")
    path = tmp_path / "config.yaml"
    assert str(caught.value) == f"{path}: server.maxConcurrentScrapes takes a whole number, 0 or more, not 'many'"


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(b"version: \xff\n")
    with pytest.raises(ConfigError, match=f"{path}:1: it is not UTF-8 text"):
        read_config(str(path))


PATHS = ("metrics.fields", "collections", "collection.watchGroups", *(key.path for key in KEYS))
YAML_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["name", "every", "x"]), inner),
    max_leaves=5,
)


def sentence(text: str) -> str:
    try:
        parse_config(text, "c.yaml")
    except ConfigError as caught:
        return str(caught)
    return ""


@given(st.text(max_size=40))
def test_any_text_is_a_configuration_or_one_sentence(text: str) -> None:
    assert len(sentence(text).splitlines()) <= 1


@given(st.sampled_from([1, 2]), st.sampled_from(PATHS), YAML_VALUES)
def test_any_value_of_a_key_is_accepted_or_one_sentence(version: int, path: str, value: object) -> None:
    for key in reversed(path.split(".")):
        value = {key: value}
    assert isinstance(value, dict)
    assert len(sentence(yaml.safe_dump({"version": version, **value})).splitlines()) <= 1
