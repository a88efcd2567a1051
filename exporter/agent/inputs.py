"""Where the settings say that the counters come from."""

import logging
from pathlib import Path

from exporter.counters_source import CountersConfigMap, CountersSource, CountersText, find_counters_file
from exporter.kube import read_config_map
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
