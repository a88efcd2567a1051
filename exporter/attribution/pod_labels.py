"""Pod labels: which of them are printed, and under which names."""

import logging
import re
from collections.abc import Iterable, Mapping

from exporter.attribution.label_patterns import compile_pattern
from exporter.model import Labels

log = logging.getLogger(__name__)

_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_]")

_ENTITY = (
    "gpu",
    "UUID",
    "uuid",
    "gpu_uuid",
    "pci_bus_id",
    "device",
    "modelName",
    "model_name",
    "GPU_I_PROFILE",
    "GPU_I_ID",
    "Hostname",
    "hostname",
    "nvlink",
)
_OWNER = (
    "container",
    "namespace",
    "pod",
    "container_name",
    "pod_namespace",
    "pod_name",
    "pod_uid",
    "vgpu",
    "hpc_job",
    "dra_claim_name",
    "dra_claim_namespace",
    "dra_device_name",
    "dra_driver_name",
    "dra_mig_device_uuid",
    "dra_mig_profile",
    "dra_pool_name",
)
_SERIES = (
    "err_code",
    "err_msg",
    "xid",
    "window_size_in_ms",
    "clock_event",
    "health_watch",
    "health_error_code",
    "peer_gpu",
    "link_status",
    "reason",
    "source",
)
BUILT_IN = frozenset((*_ENTITY, *_OWNER, *_SERIES))
"""Every label that the exporter itself gives a GPU's series, in any style; DCGM's fields can be labels too."""

_RESERVED = ("DCGM_", "dcgm_", "__")
"""How names begin that are a field's, or Prometheus's own."""


class PodLabels:
    """Chooses labels by name."""

    def __init__(self, allowlist: Iterable[str] = ()) -> None:
        """Take regular expressions; a label is printed if one is found anywhere in its name, or if there is none."""
        self._patterns = [compile_pattern(pattern) for pattern in allowlist]
        self._dropped: set[str] = set()

    def select(self, labels: Mapping[str, str]) -> Labels:
        """Return the labels to print, by the names to print, sorted.

        Of several labels with one printed name the one counts whose own name it is, else the first in the order of
        their own names. A label that would have a built-in one's name is left out, with one line in the log.
        """
        selected: dict[str, str] = {}
        for name in sorted(labels, key=lambda name: (printed_name(name) != name, name)):
            printed = printed_name(name)
            if not self._is_allowed(name):
                continue
            if printed in BUILT_IN or printed.startswith(_RESERVED):
                self._drop(name, printed)
            else:
                selected.setdefault(printed, _well_formed(labels[name]))
        return tuple(sorted(selected.items()))

    def _is_allowed(self, name: str) -> bool:
        return not self._patterns or any(is_found(name) for is_found in self._patterns)

    def _drop(self, name: str, printed: str) -> None:
        taken = printed if printed in BUILT_IN else next(filter(printed.startswith, _RESERVED)) + "..."
        if taken not in self._dropped:
            self._dropped.add(taken)
            log.warning("the pod label %r is not printed: the exporter's own label %s has that name", name, taken)


def printed_name(name: str) -> str:
    """Return a label's name as dcgm-exporter prints it, with a _ before a digit, where Prometheus takes none."""
    printed = _NOT_IN_NAMES.sub("_", name)
    return f"_{printed}" if printed[:1].isdigit() else printed


def _well_formed(value: str) -> str:
    """Return a value that can be encoded: JSON can hold halves of surrogate pairs."""
    return value.encode(errors="replace").decode()
