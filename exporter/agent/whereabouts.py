"""In which pod and on which node this process runs, from its environment."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from exporter.kube import Key, OwnNode

log = logging.getLogger(__name__)

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """The node, and namespace and name of the own pod where the environment tells them for certain."""

    node: OwnNode
    pod: Key | None = None


def find_whereabouts(environ: Mapping[str, str], hostname: str, service_account: Path = SERVICE_ACCOUNT) -> Whereabouts:
    """Read the variables that a pod sets by the downward API: NODE_NAME, POD_NAMESPACE, POD_NAME.

    Args:
        environ: The environment.
        hostname: The host's name: within a pod the pod's, unless it uses the host's network.
        service_account: The folder in which a pod with a token has its namespace, too.
    """
    node = environ.get("NODE_NAME")
    namespace, name = environ.get("POD_NAMESPACE"), environ.get("POD_NAME")
    pod = (namespace, name) if namespace and name else None
    if node or "KUBERNETES_SERVICE_HOST" not in environ:
        return Whereabouts(OwnNode(node or hostname), pod)
    log.warning(
        "NODE_NAME is not set: the hostname label has this pod's host name, and the API server is asked for the node if"
        " needed; set NODE_NAME from spec.nodeName"
    )
    namespace = namespace or _read(service_account / "namespace")
    guess = (namespace, name or hostname) if namespace else None
    return Whereabouts(OwnNode(None, guess, hostname), pod)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return ""
