"""What the user of a connection may do, as the API server itself says it (SelfSubjectAccessReview)."""

from typing import NamedTuple

from exporter.kube.connection import GARBAGE, ApiServer, no_api_server

_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


class Right(NamedTuple):
    """To do something with objects of a kind; in all namespaces if none is named."""

    verb: str
    resource: str
    group: str = ""
    subresource: str = ""
    namespace: str = ""

    def __str__(self) -> str:
        """Return what users read of it, as `kubectl auth can-i` takes it."""
        kind = self.resource + (f".{self.group}" if self.group else "")
        return f"{self.verb} {kind}{f'/{self.subresource}' if self.subresource else ''}"


def is_allowed(server: ApiServer, right: Right) -> bool:
    """Ask whether the user of this connection has a right.

    Raises:
        KubeError: The API server does not say.
        ConfigError: TLS fails.
    """
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": right._asdict()},
    }
    try:
        return bool(server.create(_REVIEWS, review)["status"]["allowed"])
    except GARBAGE:
        raise no_api_server(server.host) from None
