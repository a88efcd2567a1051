"""dcgm-exporter's YAML configuration file, versions 1 and 2, as texts for the flags that its keys stand for.

A key that the file's version does not have is an error. Knows the flags' names only; what their texts mean is
read where all flags are.
"""

import csv
import io
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from exporter.cli.go_flags import suggestion
from exporter.errors import ConfigError, describe
from exporter.go_values import parse_duration_ns
from exporter.user_file import read_text

INTERVAL = "collect-interval"
_COUNTERS = "metrics.fields"
_COUNTER_KEYS = ("name", "prometheusType", "help")


@dataclass(frozen=True, slots=True)
class Key:
    """A key that holds one value, the flag that it stands for, and the versions of the file that have it."""

    path: str
    flag: str
    versions: tuple[int, ...] = (1, 2)


KEYS = (
    Key("metrics.file", "collectors"),
    Key("metrics.enableExporterMetrics", "enable-exporter-metrics"),
    Key("sources.dcgm.detectBindUnbind.enabled", "enable-gpu-bind-unbind-watch"),
    Key("sources.dcgm.detectBindUnbind.pollInterval", "gpu-bind-unbind-poll-interval"),
    Key("sources.dcgm.watch.maxKeepAge", "watch-max-keep-age", (2,)),
    Key("sources.dcgm.watch.maxKeepSamples", "watch-max-keep-samples", (2,)),
    Key("server.maxConcurrentScrapes", "max-concurrent-scrapes"),
    Key("collection.interval", INTERVAL, (1,)),
    Key("collection.retention.maxAge", "watch-max-keep-age", (1,)),
    Key("collection.retention.maxSamples", "watch-max-keep-samples", (1,)),
)


@dataclass(frozen=True, slots=True)
class _GroupKeys:
    """How a version of the file spells the groups of fields that have an interval of their own."""

    list: str
    interval: str
    fields: str
    without_effect: tuple[str, ...]


_GROUP_KEYS = {
    1: _GroupKeys("collection.watchGroups", "interval", "fields", ("retention.maxAge", "retention.maxSamples")),
    2: _GroupKeys(
        "collections",
        "every",
        "metrics.include",
        ("sources.dcgm.watch.maxKeepAge", "sources.dcgm.watch.maxKeepSamples"),
    ),
}


@dataclass(frozen=True, slots=True)
class _CollectionGroup:
    place: str
    interval_ms: str
    fields: list[Any]


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """What a configuration file says.

    `texts` gives for a flag's name its text and the place where it stands. `counters` are the counters that
    the file itself lists, in the counters file's grammar. `notices` are sentences about what has no effect.
    """

    texts: Mapping[str, tuple[str, str]]
    counters: str
    notices: tuple[str, ...]


def read_config(path: str) -> ConfigFile:
    """Read a configuration file.

    Raises:
        ConfigError: names the file and the key, the value and what is accepted.
    """
    return parse_config(read_text(path, "configuration file"), path)


def parse_config(text: str, path: str) -> ConfigFile:
    """Read a configuration file's text; `path` names it in errors, which are those of read_config."""
    from exporter.strict_yaml import load_mapping  # noqa: PLC0415  (memory that most need not spend)

    document = load_mapping(text, path)
    version = document.pop("version", None)
    if type(version) is not int or version not in _GROUP_KEYS:
        raise ConfigError(f"{path}: version must be 1 or 2, not {describe(version)}")
    flags = {key.path: key.flag for key in KEYS if version in key.versions}
    group_keys = _GROUP_KEYS[version]
    leaves = dict(_leaves(document, (*flags, _COUNTERS, group_keys.list), path))

    counters = _read_counters(leaves.pop(_COUNTERS, []), f"{path}: {_COUNTERS}")
    groups = _read_groups(leaves.pop(group_keys.list, []), group_keys, f"{path}: {group_keys.list}")
    texts = {}
    for key, value in leaves.items():
        place = f"{path}: {key}"
        read = _milliseconds if flags[key] == INTERVAL else _text
        texts[flags[key]] = read(value, place), place
    if counters and "collectors" in texts:
        raise ConfigError(f"{path}: metrics takes file or fields, not both")

    for_all = [group for group in groups if group.fields == ["*"]]
    if len(for_all) > 1:
        raise ConfigError(f"{for_all[1].place} includes all fields, but an earlier collection already does")
    for group in for_all:
        texts[INTERVAL] = group.interval_ms, f"{group.place}.{group_keys.interval}"
    notices = tuple(
        f"{group.place} is accepted, but not implemented yet: its fields are collected as often as all others"
        for group in groups
        if group not in for_all
    )
    return ConfigFile(texts, counters, notices)


def _leaves(
    section: Mapping[Any, Any], known: Collection[str], place: str, prefix: str = ""
) -> Iterator[tuple[str, Any]]:
    """Yield the dotted keys that have a value; refuse one that neither is known nor leads to such."""
    for part, value in section.items():
        key = f"{prefix}{part}"
        leads_on = any(name.startswith(f"{key}.") for name in known)
        if not leads_on and key not in known:
            raise ConfigError(f"{place}: this version of the file has no key {key}{suggestion(key, known)}")
        if leads_on and isinstance(value, dict):
            yield from _leaves(value, known, place, f"{key}.")
        elif leads_on and value is not None:
            raise ConfigError(f"{place}: {key} takes keys and values, not {describe(value)}")
        elif value is not None:
            yield key, value


def _text(value: object, place: str) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float | str):
        return str(value)
    raise ConfigError(f"{place} takes a single value, not {describe(value)}")


def _milliseconds(value: object, place: str) -> str:
    text = _text(value, place)
    try:
        milliseconds, rest_ns = divmod(parse_duration_ns(text), 10**6)
    except ValueError:
        milliseconds, rest_ns = 0, 0
    if not milliseconds or rest_ns:
        raise ConfigError(f"{place} takes a duration of whole milliseconds such as 500ms or 30s, not {text!r}")
    return str(milliseconds)


def _items(value: object, place: str) -> list[Any]:
    if not isinstance(value, list):
        raise ConfigError(f"{place} takes a list, not {describe(value)}")
    return value


def _mapping(value: object, known: Collection[str], place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{place} takes keys and values, not {describe(value)}")
    return dict(_leaves(value, known, place))


def _required(leaves: Mapping[str, Any], key: str, place: str) -> Any:
    if key not in leaves or leaves[key] in ("", []):
        raise ConfigError(f"{place}: {key} is missing")
    return leaves[key]


def _read_counters(value: object, place: str) -> str:
    rows = io.StringIO()
    writer = csv.writer(rows, lineterminator="\n")
    for number, item in enumerate(_items(value, place)):
        where = f"{place}[{number}]"
        leaves = _mapping(item, _COUNTER_KEYS, where)
        texts = (_text(_required(leaves, key, where), f"{where}.{key}") for key in _COUNTER_KEYS)
        writer.writerow(" ".join(text.split()) for text in texts)
    return rows.getvalue()


def _read_groups(value: object, keys: _GroupKeys, place: str) -> list[_CollectionGroup]:
    groups = []
    names = set()
    for number, item in enumerate(_items(value, place)):
        where = f"{place}[{number}]"
        leaves = _mapping(item, ("name", keys.interval, keys.fields, *keys.without_effect), where)
        name = _text(_required(leaves, "name", where), f"{where}.name")
        if name in names:
            raise ConfigError(f"{where}.name: {name!r} is repeated")
        names.add(name)
        interval_ms = _milliseconds(_required(leaves, keys.interval, where), f"{where}.{keys.interval}")
        fields = _items(_required(leaves, keys.fields, where), f"{where}.{keys.fields}")
        groups.append(_CollectionGroup(where, interval_ms, fields))
    return groups
