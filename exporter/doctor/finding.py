"""What is found about a link between GPU and autoscaler, and how all findings together are."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

LOADS = (
    "DCGM_FI_DEV_GPU_UTIL",
    "DCGM_FI_DEV_GPU_UTIL_RATIO",
    "DCGM_FI_PROF_GR_ENGINE_ACTIVE",
    "DCGM_FI_PROF_GR_ENGINE_UTIL_RATIO",
)
"""Names of series that say how busy a GPU is, in both generations; the last two are all that MIG instances have."""


class Mark(StrEnum):
    """How a link is."""

    HOLDS = "holds"
    BROKEN = "broken"
    UNSEEN = "unseen"


class Subject(StrEnum):
    """Which part of the chain a link belongs to, in the chain's order."""

    NODE = "node"
    KUBELET = "kubelet"
    CLUSTER = "cluster"
    PROMETHEUS = "prometheus"
    SCALING = "scaling"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one look at a link has shown: how it is, what was seen, and what to do where it does not hold."""

    mark: Mark
    seen: str
    cure: str = ""


class Examined(NamedTuple):
    """A finding about a link."""

    subject: Subject
    link: str
    finding: Finding


def holds(seen: str) -> Finding:
    """Return the finding of a link that is as it should be."""
    return Finding(Mark.HOLDS, seen)


def broken(seen: str, cure: str) -> Finding:
    """Return the finding of a link that does not hold."""
    return Finding(Mark.BROKEN, seen, cure)


def unseen(seen: str, cure: str = "") -> Finding:
    """Return the finding of a link that can't be looked at from here."""
    return Finding(Mark.UNSEEN, seen, cure)


def some(names: Iterable[str], most: int = 3) -> str:
    """Return the first of some names, and how many more there are."""
    sorted_names = sorted(names)
    more = len(sorted_names) - most
    return ", ".join(sorted_names[:most]) + (f" and {more} more" if more > 0 else "")
