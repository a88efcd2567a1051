"""Pod metadata: uid and labels of this node's pods, as a watch on the API server follows them."""

from typing import Any

from exporter.attribution.owners import PodMeta
from exporter.attribution.pod_labels import PodLabels
from exporter.kube import OwnNode, Resource


def pods_of(node: OwnNode, labels: PodLabels | None) -> Resource[PodMeta]:
    """Return what a watch follows: the pods that are bound to a node and have not ended.

    A pod that has ended is not among them, though it may exist for longer, and kubelet may still list it.

    Args:
        node: The node.
        labels: Which labels are kept; None for no labels at all.
    """

    def parse(pod: Any) -> PodMeta:
        metadata = pod["metadata"]
        uid = str(metadata["uid"])
        if labels is None:
            return PodMeta(uid)
        return PodMeta(uid, *labels.select(metadata.get("labels") or {}, f"{metadata['namespace']}/{metadata['name']}"))

    return Resource(
        called=f"pods on {node}",
        group="",
        versions=("v1",),
        plural="pods",
        select=lambda server: f"spec.nodeName={node.find(server)},status.phase!=Succeeded,status.phase!=Failed",
        is_metadata_enough=True,
        parse=parse,
    )
