"""What a command line and an environment come to: settings, or the sentence that refuses them."""

from collections.abc import Mapping, Sequence

import pytest

from exporter.cli.flags import Serve, parse
from exporter.errors import ConfigError
from exporter.settings import Settings

HOST = "host-1"


def serve(arguments: Sequence[str] = (), environ: Mapping[str, str] | None = None) -> Serve:
    command = parse(arguments, environ or {}, HOST)
    assert isinstance(command, Serve)
    return command


def settings(*arguments: str, **environ: str) -> Settings:
    return serve(arguments, environ).settings


def error(*arguments: str, **environ: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(arguments, environ, HOST)
    assert "\n" not in str(caught.value)
    return str(caught.value)
