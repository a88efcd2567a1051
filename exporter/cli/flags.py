"""From command line, environment, configuration file and defaults, in this order, to Settings."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from exporter.cli.config_file import INTERVAL, ConfigFile, read_config
from exporter.cli.flag_table import FLAGS, Flag, Status
from exporter.cli.go_flags import Arity, read_arguments, suggestion
from exporter.cli.value_types import DEFAULT_MOCK
from exporter.errors import ConfigError, given_by
from exporter.settings import Settings

PREFIX = "DCGM_EXPORTER_"
SHORT_INTERVAL_S = 0.1
_SERVICE = re.compile(r".*_SERVICE_(HOST|PORT(_.+)?)|.*_PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?")


class Show(Enum):
    """What to print instead of serving."""

    HELP = "help"
    VERSION = "version"


@dataclass(frozen=True, slots=True)
class Serve:
    """Serve with these settings; `notices` are sentences for the log about what is given without effect.

    `options` are the values of the flags that the command alone has, by their names.
    """

    settings: Settings
    notices: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Given:
    """A flag that somebody wrote: where, which text, and the value that it stands for."""

    place: str
    text: str
    value: Any


def parse(
    arguments: Sequence[str], environ: Mapping[str, str], hostname: str, own: Sequence[Flag] = ()
) -> Serve | Show:
    """Decide what to do; reads nothing but its arguments and the configuration file that they name.

    Args:
        arguments: The command line without the program's name.
        environ: The environment; an empty variable is an unset one.
        hostname: The host's name, for where NODE_NAME does not say the node's.
        own: Flags that the command has beside those of all.

    Raises:
        ConfigError: names the flag, variable or key, the value, and what is accepted.
    """
    written = _from_arguments(arguments, (*FLAGS, *own))
    for show in Show:
        if show.value in written and written[show.value].value:
            return show
    given = _from_environment(environ) | written
    file = ConfigFile({}, "", ())
    if "config-file" in given and given["config-file"].value:
        with given_by(given["config-file"].place):
            file = read_config(given["config-file"].value)
    counters = "" if given.keys() & {"collectors", "configmap-data"} else file.counters
    given = _from_file(file) | given
    if "mock" not in given and "fake-gpus" in given and given["fake-gpus"].value:
        given["mock"] = replace(given["fake-gpus"], value=DEFAULT_MOCK)

    values: dict[str, Any] = {flag.name: flag.type.read(flag.default) for flag in (*FLAGS, *own)}
    values |= {name: written.value for name, written in given.items()}
    _refuse(given, values)
    settings = Settings(
        **{flag.setting: values[flag.name] for flag in FLAGS if flag.setting is not None},
        given={name: written.place for name, written in given.items()},
        inline_counters=counters,
        hostname=environ.get("NODE_NAME") or hostname,
    )
    notices = (*_notices(given, values), *_unknown_variables(environ), *file.notices)
    return Serve(settings, notices, {flag.name: values[flag.name] for flag in own})


def _from_arguments(arguments: Sequence[str], flags: Iterable[Flag]) -> dict[str, _Given]:
    by_name = {name: flag for flag in flags for name in (flag.name, flag.shorthand) if name}
    arities: dict[str, Arity] = {name: flag.type.arity for name, flag in by_name.items()}
    given: dict[str, _Given] = {}
    for name, text in read_arguments(arguments, arities):
        flag = by_name[name]
        value = flag.type.bare if text is None else text
        if flag.type.is_list and flag.name in given:
            value = f"{given[flag.name].text},{value}"
        given[flag.name] = _read(flag, value, f"--{flag.name}")
    return given


def _from_environment(environ: Mapping[str, str]) -> dict[str, _Given]:
    return {
        flag.name: _read(flag, environ[flag.variable], flag.variable)
        for flag in FLAGS
        if flag.variable and environ.get(flag.variable)
    }


def _from_file(file: ConfigFile) -> dict[str, _Given]:
    return {flag.name: _read(flag, *file.texts[flag.name]) for flag in FLAGS if flag.name in file.texts}


def _read(flag: Flag, text: str, place: str) -> _Given:
    try:
        return _Given(place, text, flag.type.read(text))
    except ValueError as error:
        reason = f": {error}" if str(error) else ""
        raise ConfigError(f"{place} takes {flag.type.accepts}, not {text!r}{reason}") from None


def _refuse(given: Mapping[str, _Given], values: Mapping[str, Any]) -> None:
    for flag in FLAGS:
        if flag.name not in given or not given[flag.name].value:
            continue
        written = given[flag.name]
        if flag.needs == "mock" and not values["mock"]:
            raise ConfigError(f"{written.place} is {written.text!r}, but there is no mock; add --mock")


def _notices(given: Mapping[str, _Given], values: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for each flag that asks for what is not done; false, none and 0 ask for nothing."""
    for flag in FLAGS:
        if flag.name not in given or not given[flag.name].value:
            continue
        place = given[flag.name].place
        if flag.status is Status.LATER:
            yield f"{place} is accepted, but not implemented yet: {flag.note}"
        elif flag.status is Status.NO_EFFECT:
            yield f"{place} is accepted, but has no effect: {flag.note}"
        elif flag.needs and not values[flag.needs] and not _mock_decides(flag.needs, given, values):
            yield f"{place} has no effect without --{flag.needs}"
    if values[INTERVAL] < SHORT_INTERVAL_S:
        yield (
            f"{given[INTERVAL].place} is {given[INTERVAL].text} milliseconds, so every GPU is read"
            f" {1 / values[INTERVAL]:.0f} times per second"
        )


def _mock_decides(name: str, given: Mapping[str, _Given], values: Mapping[str, Any]) -> bool:
    """Say whether a flag may be turned on by a mock that has pods."""
    return name == "kubernetes" and name not in given and bool(values["mock"])


def _unknown_variables(environ: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence for each variable that looks like one of ours and is none."""
    known = [flag.variable for flag in FLAGS if flag.variable.startswith(PREFIX)]
    for name in sorted(environ):
        if name.startswith(PREFIX) and environ[name] and name not in known and not _is_kubernetes_own(name, environ):
            nearest = suggestion(name.removeprefix(PREFIX), [each.removeprefix(PREFIX) for each in known], PREFIX)
            yield f"unknown variable {name}{nearest}"


def _is_kubernetes_own(name: str, environ: Mapping[str, str]) -> bool:
    """Say whether a variable tells of a Service, as Kubernetes gives it to pods beside one named dcgm-exporter."""
    return _SERVICE.fullmatch(name) is not None or (name.endswith("_PORT") and "://" in environ[name])
