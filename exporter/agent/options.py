"""What each part is told of the settings. Nothing is read or made here but what the parts ask for."""

import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from exporter.catalogue import catalogue
from exporter.catalogue.reading import Reading
from exporter.labels import LabelOptions
from exporter.nvml.session import driver_gpus, real_nvml
from exporter.sampling.supervisor import Sampling
from exporter.server.connections import Limits
from exporter.settings import Settings

if TYPE_CHECKING:
    from exporter.mock import MockNvml

SCAN_S = 5.0

DRIVER_GPUS = Path("/proc/driver/nvidia/gpus")


def readings(settings: Settings) -> tuple[Reading, ...]:
    """Return all readings that the exporter can make."""
    return catalogue(
        mean_gpu_util=settings.mean_gpu_util,
        xid_window_ms=settings.xid_window_ms,
        xid_reset_after_s=settings.xid_reset_after_s,
        clock_window_ms=settings.clock_window_ms,
    )


def sampling(settings: Settings, mock: "MockNvml | None") -> Sampling:
    """Return how GPUs are sampled: those of a mock, or real ones."""
    return Sampling(
        library=mock or real_nvml(),
        selections=settings.devices,
        clock=time,
        interval_s=settings.collect_interval_s,
        scan_s=settings.gpu_bind_unbind_poll_s if settings.gpu_bind_unbind_watch else SCAN_S,
        pci_devices=mock.pci_devices if mock else partial(driver_gpus, DRIVER_GPUS),
    )


def label_options(settings: Settings) -> LabelOptions:
    """Return which labels series have, and how they are spelt."""
    return LabelOptions(
        style=settings.label_style,
        hostname=None if settings.no_hostname else settings.hostname,
        kubernetes=settings.kubernetes,
        use_old_namespace=settings.use_old_namespace,
        replace_blanks_in_model_name=settings.replace_blanks_in_model_name,
    )


def limits(settings: Settings) -> Limits:
    """Return what clients may take."""
    return Limits(
        read_timeout_s=settings.web_read_timeout_s,
        write_timeout_s=settings.web_write_timeout_s,
        max_concurrent_scrapes=settings.max_concurrent_scrapes,
    )
