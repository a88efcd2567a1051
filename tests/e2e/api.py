"""The cluster's API, as JSON over one connection a thread: what is asked several times a second needs no kubectl."""

import http.client
import json
import ssl
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.cluster.certificates import API_SERVER

Object = Mapping[str, Any]

_TIMEOUT_S = 10.0
_MERGE = "application/merge-patch+json"


class ApiError(Exception):
    """The API server refused; the text is what it said."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code} {message}")
        self.code = code


class Unreachable(Exception):
    """The API server does not answer."""


class Api:
    """The API as administrator, while `with` lasts."""

    def __init__(self, certificates: Path) -> None:
        self._context = ssl.create_default_context(cafile=str(certificates / "ca.crt"))
        self._context.load_cert_chain(certificates / "admin.crt", certificates / "admin.key")
        self._of_thread = threading.local()
        self._connections: list[http.client.HTTPSConnection] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for connection in self._connections:
            connection.close()

    def get(self, path: str) -> Any:
        """Return an object, or what a list has in `items`."""
        found = self._request("GET", path)
        return found.get("items", found)

    def create(self, path: str, content: Object) -> Any:
        return self._request("POST", path, content)

    def replace(self, path: str, content: Object) -> Any:
        return self._request("PUT", path, content)

    def patch(self, path: str, content: Object) -> Any:
        return self._request("PATCH", path, content, _MERGE)

    def delete(self, path: str) -> Any:
        return self._request("DELETE", path)

    def _request(self, method: str, path: str, content: Object | None = None, kind: str = "application/json") -> Any:
        body = None if content is None else json.dumps(content)
        try:
            code, answer = self._exchange(method, path, body, kind)
        except (OSError, http.client.HTTPException) as error:
            self._connection().close()
            raise Unreachable(f"{method} {path}: {error}") from None
        try:
            found = json.loads(answer)
        except ValueError:  # aggregated servers that are away are spoken for in plain text
            raise ApiError(code, answer.decode(errors="replace").strip()) from None
        if code >= http.client.BAD_REQUEST:
            raise ApiError(code, found.get("message", str(found)))
        return found

    def _exchange(self, method: str, path: str, body: str | None, kind: str) -> tuple[int, bytes]:
        connection = self._connection()
        headers = {"Content-Type": kind, "Accept": "application/json"}
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
        except (http.client.RemoteDisconnected, ConnectionResetError, ssl.SSLEOFError):  # it was idle for too long
            connection.close()
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
        return answer.status, answer.read()

    def _connection(self) -> http.client.HTTPSConnection:
        found: http.client.HTTPSConnection | None = getattr(self._of_thread, "connection", None)
        if found is None:
            found = http.client.HTTPSConnection(API_SERVER, timeout=_TIMEOUT_S, context=self._context)
            self._of_thread.connection = found
            self._connections.append(found)
        return found
