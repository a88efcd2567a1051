"""What only time tells of pods: which have ended, and of which what was known is no longer true.

kubelet's list and the API server's view of the node lag behind each other, each by as much as it likes. kubelet names
pods by namespace and name alone, so that a recreated pod looks like the old one.
"""

from collections.abc import Mapping
from typing import NamedTuple

from exporter.attribution.owners import Evidence, PodKey, PodMeta, Why


class _Forgotten(NamedTuple):
    uid: str
    since: float


class PodMemory:
    """Remembers the two views as they were, and compares them with those of now. Used by one thread."""

    def __init__(self) -> None:
        self._listed: frozenset[PodKey] = frozenset()
        self._pods: Mapping[PodKey, PodMeta] = {}
        self._ended: frozenset[PodKey] = frozenset()
        self._forgotten: dict[PodKey, _Forgotten] = {}

    def judge(self, evidence: Evidence, now: float) -> Evidence:
        """Return evidence without what can no longer be trusted, and with the pods that have ended.

        Args:
            evidence: What kubelet and the API server say.
            now: Monotonic seconds, of the clock that `pods_heard_at` is from.
        """
        listed = self._listed
        if not isinstance(evidence.allocations, Why):
            listed = frozenset((held.namespace, held.pod) for held in evidence.allocations)
        pods = evidence.pods or {}
        # Only who was there and was deleted has ended: a pod that is not there may be one that is not there yet.
        self._ended = listed & ((self._pods.keys() | self._ended) - pods.keys())
        self._forget(self._listed - listed, evidence, now)
        self._listed, self._pods = listed, pods
        if evidence.pods is None:
            return evidence
        believed = {pod: meta for pod, meta in pods.items() if pod not in self._forgotten}
        return evidence._replace(pods=believed, ended=self._ended)

    def _forget(self, dropped: frozenset[PodKey], evidence: Evidence, now: float) -> None:
        """Forget what is known of pods that kubelet has dropped, until the API server says something newer."""
        pods, heard_at = evidence.pods or {}, evidence.pods_heard_at
        self._forgotten |= {pod: _Forgotten(pods[pod].uid, now) for pod in dropped if pod in pods}
        self._forgotten = {
            pod: forgotten
            for pod, forgotten in self._forgotten.items()
            if pod in pods and pods[pod].uid == forgotten.uid and (heard_at is None or heard_at <= forgotten.since)
        }
