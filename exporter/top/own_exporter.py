"""An exporter within top, for as long as it runs, if none is running on this machine."""

import logging
import multiprocessing
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.resources import files

from exporter.agent.check import check
from exporter.errors import FetchError, NotLetIn
from exporter.scraping import fetch
from exporter.server.page_url import page_url
from exporter.settings import ListenAddress, Settings

WAIT_S = 1.0
START_S = 30.0
"""How long it may take until it is ready; on a busy machine it is loaded for many seconds."""

PAUSE_S = 0.2
_LOCAL = "127.0.0.1"
_MORE_FIELDS = """\
DCGM_FI_DEV_CLOCKS_EVENT_REASONS, gauge, Why clocks are held down.
DCGM_EXP_GPU_HEALTH_STATUS, gauge, Health by watch.
"""


@contextmanager
def own_exporter(settings: Settings) -> Iterator[str]:
    """Run an exporter with these settings that only this machine reaches, and return the URL of its metrics.

    Raises:
        ConfigError: A file can't be used.
    """
    with socket.create_server((_LOCAL, 0)) as free:
        address = ListenAddress(_LOCAL, free.getsockname()[1])
    if not {"collectors", "configmap-data"} & settings.given.keys() and not settings.inline_counters:
        counters = files("exporter").joinpath("counter_files/default-counters.csv").read_text()
        settings = replace(settings, inline_counters=counters + _MORE_FIELDS, config_file="top")
    settings = replace(
        settings, address=address, systemd_socket=False, mock_device_plugin=None, disable_startup_validate=True
    )
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(settings,), daemon=True)
    for _ in check(settings):  # here what is wrong is one sentence, there it would be a traceback
        pass
    process.start()
    page = page_url(settings)
    try:
        _wait_until_ready(page, process.is_alive)
        yield page
    finally:
        process.terminate()
        process.join(WAIT_S)


def _wait_until_ready(page: str, is_alive: Callable[[], bool]) -> None:
    """Wait until an exporter knows all that it can know or lets nobody in, or until it has had the time for it."""
    end = time.monotonic() + START_S
    while time.monotonic() < end and is_alive():
        try:
            fetch(page.replace("/metrics", "/ready"))
        except NotLetIn:
            return
        except FetchError:
            time.sleep(PAUSE_S)
        else:
            return


def _serve(settings: Settings) -> None:
    logging.disable()  # the terminal has the table
    from exporter.agent.agent import Agent  # noqa: PLC0415  (in its process alone)

    Agent(settings, os.environ).run()
