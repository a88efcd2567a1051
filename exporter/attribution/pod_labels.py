"""Pod labels: which of them are printed, and under which names."""

import logging
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from exporter.attribution.label_patterns import compile_pattern
from exporter.errors import describe
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

_PROMETHEUS = ("job", "instance", "le", "quantile", "alertname", "alertstate")
_OPERATOR = ("service", "endpoint", "node", "prometheus", "prometheus_replica", "exporter_pod")
"""What the operator's monitors give a target, and what our chart does. With honorLabels a pod's label would win."""

RESERVED = BUILT_IN.union(_PROMETHEUS, _OPERATOR)

_RESERVED_BEGINNINGS = ("DCGM_", "dcgm_", "__", "exported_")
"""How names begin that are a field's or Prometheus' own, which makes exported_pod of pod without honorLabels."""

MOST_LABELS = 64
MOST_BYTES = 4096
"""How much one pod may add to each of its GPUs' series, names and values. Pods have 5 to 30 labels, of 1 to 2 KiB."""


class SelectedLabels(NamedTuple):
    """A pod's labels to print, by the names to print, sorted; and how many were left out though they are allowed."""

    labels: Labels
    left_out: int = 0


class PodLabels:
    """Chooses labels by name, and says in the log, once for each reason, what it leaves out."""

    def __init__(self, allowlist: Iterable[str] = ()) -> None:
        """Take regular expressions; a label is printed if one is found anywhere in its name, or if there is none."""
        self._patterns = [compile_pattern(pattern) for pattern in allowlist]
        self._said: set[str] = set()

    def select(self, labels: Mapping[str, str], pod: str) -> SelectedLabels:
        """Return what is printed of a pod's labels.

        Of several labels with one printed name the one counts whose own name it is, else the first in the order of
        their own names. Left out are labels with reserved names, and all that follow once a pod has too many.

        Args:
            labels: The labels as the pod has them.
            pod: What the log calls the pod.
        """
        selected: dict[str, str] = {}
        reserved = 0
        for name in sorted(filter(self._is_allowed, labels), key=lambda name: (printed_name(name) != name, name)):
            printed = printed_name(name)
            if printed in RESERVED or printed.startswith(_RESERVED_BEGINNINGS):
                reserved += 1
                self._say_reserved(name, printed, pod)
            else:
                selected.setdefault(printed, _well_formed(labels[name]))
        ordered = tuple(sorted(selected.items()))
        kept = ordered[: _count_that_fit(ordered)]
        if len(kept) < len(ordered):
            self._say_many(len(ordered), len(kept), pod)
        return SelectedLabels(kept, reserved + len(ordered) - len(kept))

    def _is_allowed(self, name: str) -> bool:
        return not self._patterns or any(is_found(name) for is_found in self._patterns)

    def _say_reserved(self, name: str, printed: str, pod: str) -> None:
        if printed in RESERVED:
            taken, whose = printed, "the exporter" if printed in BUILT_IN else "Prometheus"
        else:
            taken, whose = next(filter(printed.startswith, _RESERVED_BEGINNINGS)) + "...", "the exporter or Prometheus"
        if taken not in self._said:
            self._said.add(taken)
            label = describe(name)
            log.warning("the label %s of pod %s is left out: %s uses the name %s", label, pod, whose, taken)

    def _say_many(self, total: int, kept: int, pod: str) -> None:
        if "" not in self._said:
            self._said.add("")
            log.warning(
                "pod %s has %d labels: only the first %d are exported, at most %d and %d bytes per pod; select with"
                " --kubernetes-pod-label-allowlist-regex",
                *(pod, total, kept, MOST_LABELS, MOST_BYTES),
            )


def _count_that_fit(labels: Labels) -> int:
    total_bytes = 0
    for count, (name, value) in enumerate(labels[:MOST_LABELS]):
        total_bytes += len(name) + len(value.encode())
        if total_bytes > MOST_BYTES:
            return count
    return min(len(labels), MOST_LABELS)


def printed_name(name: str) -> str:
    """Return a label's name as dcgm-exporter prints it, with a _ before a digit, where Prometheus takes none."""
    printed = _NOT_IN_NAMES.sub("_", name)
    return f"_{printed}" if printed[:1].isdigit() else printed


def _well_formed(value: str) -> str:
    """Return a value that can be encoded: JSON can hold halves of surrogate pairs."""
    return value.encode(errors="replace").decode()
