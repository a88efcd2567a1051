"""Where the settings say that counters and values come from, and what they need from the Kubernetes API server."""

import logging
import time
from pathlib import Path
from typing import Any

from exporter.counters_source import CountersConfigMap, CountersSource, CountersText, find_counters_file
from exporter.errors import given_by
from exporter.kube import need_client, read_config_map
from exporter.nvml.session import real_nvml
from exporter.settings import Settings

log = logging.getLogger(__name__)


def counters_source(settings: Settings) -> CountersSource:
    """Return what has the counters, not read yet."""
    if settings.configmap is not None:
        return CountersConfigMap(*settings.configmap, read_config_map)
    if settings.inline_counters:
        return CountersText(f"{settings.config_file}: metrics.fields", settings.inline_counters)
    found = find_counters_file(Path(settings.collectors), is_given="collectors" in settings.given)
    if found.warning:
        log.warning("%s", found.warning)
    return found.file


def counters_place(settings: Settings) -> str:
    """Return which setting says so."""
    if settings.configmap is not None:
        return settings.place("configmap-data")
    return settings.place("config-file" if settings.inline_counters else "collectors")


def check_kubernetes_client(settings: Settings) -> None:
    """Do nothing where no setting asks for objects of the API server, or where its client is installed.

    Raises:
        ConfigError: It is not installed; names the first setting that needs it.
    """
    asks = {
        "kubernetes-enable-pod-labels": settings.enable_pod_labels,
        "kubernetes-enable-pod-uid": settings.enable_pod_uid,
        "kubernetes-enable-dra": settings.enable_dra,
    }
    for flag in (flag for flag, is_on in asks.items() if settings.kubernetes and is_on):
        with given_by(settings.place(flag)):
            need_client()


def nvml_library(settings: Settings) -> Any:
    """Return what the settings have stand for NVML: the driver's library, or a mock; not started.

    Raises:
        ConfigError: The mock's scenario can't be used.
    """
    if settings.mock is None:
        return real_nvml()
    from exporter.mock import MockNvml, load_scenario  # noqa: PLC0415  (memory that real nodes need not spend)

    with given_by(settings.place("mock")):
        return MockNvml(load_scenario(settings.mock), time)
