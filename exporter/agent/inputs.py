"""Where the settings say that the counters come from, and what they need from the Kubernetes API server."""

import logging
from pathlib import Path

from exporter.counters_source import CountersConfigMap, CountersSource, CountersText, find_counters_file
from exporter.errors import given_by
from exporter.kube import need_client, read_config_map
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
