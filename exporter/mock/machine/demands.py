"""Demands: work that pods share, and who holds the devices that it is done on. Data only."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

PodName = tuple[str, str]
"""Namespace and name."""

Holders = Mapping[str, frozenset[PodName]]
"""The pods that hold each device, by the UUID of the GPU or MIG device."""


@dataclass(frozen=True, slots=True)
class Demand:
    """Work that pods share.

    Attributes:
        gpus: How many GPUs it would keep fully busy.
        namespace: Where its pods are; None for anywhere.
        name: What the whole of their names looks like.
        period_s: What it asks of a GPU is done at once at the start of each period; 0 for evenly.
    """

    gpus: float
    namespace: str | None
    name: re.Pattern[str]
    period_s: float = 0.0

    def is_for(self, pod: PodName) -> bool:
        """Say whether a pod takes a part of it."""
        namespace, name = pod
        return self.namespace in {None, namespace} and self.name.fullmatch(name) is not None
