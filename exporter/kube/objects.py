"""All objects of a path, read once, as the API server has them."""

from typing import Any

from exporter.errors import KubeError
from exporter.kube.connection import GARBAGE, ApiServer, Query, no_api_server

PAGE = 250
"""How many objects one answer may hold: nodes with many images take 30 KiB each."""

MOST_PAGES = 40


def read_objects(server: ApiServer, path: str, query: Query = ()) -> list[dict[str, Any]]:
    """Return all objects of a path, page by page.

    Raises:
        KubeError: They can't be had, or there are more than 10000.
        ConfigError: TLS fails.
    """
    found: list[dict[str, Any]] = []
    token: Query = ()
    for _ in range(MOST_PAGES):
        answer = server.get(path, (*query, ("limit", str(PAGE)), *token))
        try:
            found += [dict(entry) for entry in answer.get("items") or ()]
            going_on = answer["metadata"].get("continue")
        except GARBAGE:
            raise no_api_server(server.host) from None
        if not going_on:
            return found
        token = (("continue", str(going_on)),)
    raise KubeError(f"{path} has more than {PAGE * MOST_PAGES} objects")
