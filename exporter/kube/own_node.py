"""The name of the node that this process runs on, as Kubernetes calls it."""

import logging
from typing import Any
from urllib.parse import quote

from exporter.errors import KubeError
from exporter.kube.connection import GARBAGE, ApiServer, no_api_server
from exporter.kube.resources import Key

log = logging.getLogger(__name__)


class OwnNode:
    """The node: known by its name, or found once from the own pod at the API server."""

    def __init__(self, name: str | None, pod: Key | None = None, hostname: str = "") -> None:
        """Keep what is known.

        Args:
            name: The node's name; None where it is not known.
            pod: Namespace and name of the pod that this process seems to run in.
            hostname: The host's name, which is the node's, too, for a pod that uses the host's network.
        """
        self._name = name
        self._pod = pod
        self._hostname = hostname

    def __str__(self) -> str:
        """Return what users read of it."""
        return "this pod's node" if self._name is None else f"node {self._name}"

    def find(self, server: ApiServer) -> str:
        """Return the node's name.

        Raises:
            KubeError: The API server does not know it, or can't be asked.
            ConfigError: TLS fails.
        """
        if self._name is None:
            try:
                self._name = self._find(server)
            except KubeError as error:
                raise KubeError(
                    f"NODE_NAME is not set, and the API server does not name this pod's node: {error}; set NODE_NAME"
                    " from spec.nodeName"
                ) from None
            log.info("NODE_NAME is not set; according to the API server, this pod runs on node %s", self._name)
        return self._name

    def _find(self, server: ApiServer) -> str:
        if self._pod is not None:
            namespace, name = self._pod
            path = f"/api/v1/namespaces/{quote(namespace)}/pods"
            for pod in _first(server, path, f"metadata.name={name}"):
                return str(pod["spec"]["nodeName"])
        if _first(server, "/api/v1/pods", f"spec.nodeName={self._hostname}"):  # where nothing runs, we don't either
            return self._hostname
        tried = "" if self._pod is None else f"there is no pod {'/'.join(self._pod)}, and "
        raise KubeError(f"{tried}no pod is on a node {self._hostname}")


def _first(server: ApiServer, path: str, field_selector: str) -> list[Any]:
    """Return the first pod that a selector selects; a list, because rights to list pods are there already."""
    answer = server.get(path, (("fieldSelector", field_selector), ("limit", "1")))
    try:
        return [pod for pod in answer["items"] or () if pod["spec"]["nodeName"]]
    except GARBAGE:
        raise no_api_server(server.host) from None
