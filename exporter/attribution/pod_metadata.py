"""Pod metadata: uid and labels of this node's pods, from one watch on the API server."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from exporter.attribution.owners import PodMeta
from exporter.attribution.pod_labels import PodLabels
from exporter.kube import NORMAL_PACE, ApiServer, Key, Pace, Resource, Watch
from exporter.model import Clock


class PodMetadata:
    """What the API server says of the pods that are bound to a node and have not ended.

    A pod that has ended leaves `latest`, though it may exist for longer, and kubelet may still list it.
    """

    def __init__(
        self,
        connect: Callable[[], ApiServer],
        node: str,
        labels: PodLabels | None,
        clock: Clock = time,
        pace: Pace = NORMAL_PACE,
    ) -> None:
        """Prepare the watch.

        Args:
            connect: Connects to the API server.
            node: The node's name in Kubernetes.
            labels: Which labels are kept; None for no labels at all.
            clock: The clock.
            pace: How often the API server is asked.
        """
        self._labels = labels
        self._pods: Mapping[Key, PodMeta] | None = None
        resource = Resource(
            called=f"pods on node {node}",
            group="",
            versions=("v1",),
            plural="pods",
            field_selector=f"spec.nodeName={node},status.phase!=Succeeded,status.phase!=Failed",
            is_metadata_enough=True,
            parse=self._parse,
        )
        self._watch = Watch(resource, connect, self._publish, clock, pace)

    def start(self) -> None:
        """Begin, without waiting for the API server."""
        self._watch.start()

    def stop(self) -> None:
        """End within a second."""
        self._watch.stop()

    def latest(self) -> Mapping[Key, PodMeta] | None:
        """Return the pods by namespace and name, as they were last known; None before the first answer."""
        return self._pods

    @property
    def complete(self) -> bool:
        """Tell whether a pod that is not in `latest` has ended: all were listed, and changes are coming in."""
        return self._watch.is_current

    @property
    def failing_since(self) -> float | None:
        """Return since when nothing new comes in, in seconds since the epoch; None if all is well."""
        return self._watch.failing_since

    def _publish(self, pods: Mapping[Key, PodMeta]) -> None:
        self._pods = pods

    def _parse(self, pod: Any) -> PodMeta:
        metadata = pod["metadata"]
        labels = () if self._labels is None else self._labels.select(metadata.get("labels") or {})
        return PodMeta(str(metadata["uid"]), labels)
