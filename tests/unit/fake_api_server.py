"""A tiny API server over real sockets: objects with versions, lists in pages, watches as chunked streams."""

import json
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from exporter.kube import ApiServer, connect
from tests.json_handler import JsonHandler

Object = dict[str, Any]


class Request(NamedTuple):
    """What was asked."""

    path: str
    query: dict[str, str]
    accept: str

    @property
    def kind(self) -> str:
        if "watch" in self.query:
            return "watch"
        if "limit" in self.query:
            return "list"
        return "object" if "/namespaces/" in self.path else "discovery"


class End(NamedTuple):
    """How a watch ends: with some last bytes, and then by the protocol's rules or not."""

    last: bytes = b""
    is_clean: bool = True


def event(kind: str, entry: Object) -> bytes:
    return json.dumps({"type": kind, "object": entry}).encode() + b"\n"


TOO_OLD = End(event("ERROR", {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}))


def selection(path: str, field_selector: str) -> Callable[[Object], bool]:
    """Return what tells which objects a path and a selector mean.

    It heeds namespace and name, and kind and node of objects that have them.
    """
    *_, parent, namespace, plural = path.split("/")
    fields = dict(term.split("=", 1) for term in field_selector.split(",") if "!" not in term)

    def is_selected(entry: Object) -> bool:
        metadata, node = entry["metadata"], entry.get("spec", {}).get("nodeName")
        return (
            (parent != "namespaces" or metadata.get("namespace") == namespace)
            and fields.get("metadata.name", metadata["name"]) == metadata["name"]
            and (node is None or fields.get("spec.nodeName", node) == node)
            and ("kind" not in entry or f"{entry['kind'].lower()}s" == plural)
        )

    return is_selected


class FakeApiServer:
    """What an API server stores, how it behaves, and what it was asked; all of it outlives `down` and `up`.

    Attributes:
        groups: The versions that are served, by API group.
        requests: What was asked, in order.
        refusals: The statuses to answer with, by kind of request.
        refusal: What these say; by default what is refused.
        answers: What to answer instead, by kind of request.
        page: How many objects an answer to a list holds at most. As with a real one, the limit that is asked for counts
            only where no version is, for those come from a cache.
        held: The kind of request whose answers wait.
        ends: How the next watches end: the one that runs, then each that begins.
    """

    def __init__(self, kubeconfig: Path) -> None:
        self.groups: dict[str, list[str]] = {}
        self.requests: list[Request] = []
        self.refusals: dict[str, int] = {}
        self.refusal = ""
        self.answers: dict[str, bytes] = {}
        self.held = ""
        self.page = 1000
        self.ends: list[End] = []
        self.changed = threading.Condition()
        self.kubeconfig = kubeconfig
        self._version = 100
        self._oldest = 0
        self._objects: dict[tuple[str, str], Object] = {}
        self._events: list[tuple[int, bytes]] = []
        self._port = 0
        self._server: Server | None = None

    def up(self) -> None:
        self._server = Server(self, self._port)
        self._port = self._server.server_port
        user = {"name": "lab", "user": {"token": "secret"}}
        cluster = {"name": "lab", "cluster": {"server": f"http://127.0.0.1:{self._port}"}}
        context = {"name": "lab", "context": {"cluster": "lab", "user": "lab"}}
        config = {"current-context": "lab", "contexts": [context], "clusters": [cluster], "users": [user]}
        self.kubeconfig.write_text(json.dumps(config), encoding="utf-8")

    def down(self) -> None:
        self.let_go()
        if self._server is not None:
            self._server.stop()
            self._server = None

    def connect(self) -> ApiServer:
        return connect(self.kubeconfig)

    def put(self, name: str, namespace: str = "default", labels: dict[str, str] | None = None, **parts: Any) -> None:
        """Store an object, in the namespace "" one of the whole cluster."""
        with self.changed:
            kind = "MODIFIED" if (namespace, name) in self._objects else "ADDED"
            metadata = {"name": name, "uid": f"uid-{name}", "labels": labels or {}, "managedFields": [{"f:a": {}}]}
            if namespace:
                metadata["namespace"] = namespace
            self._objects[namespace, name] = {"metadata": metadata, **parts}
            self._tell(kind, self._objects[namespace, name])

    def delete(self, name: str, namespace: str = "default") -> None:
        with self.changed:
            self._tell("DELETED", self._objects.pop((namespace, name)))

    def get(self, name: str, namespace: str) -> Object | None:
        with self.changed:
            return self._objects.get((namespace, name))

    def bookmark(self) -> str:
        """Tell the watch how far other objects' changes have come; returns that version."""
        with self.changed:
            self._version += 10
            self._tell("BOOKMARK", {"metadata": {}})
            return str(self._version)

    def lose(self, change: Callable[[], None]) -> None:
        """Make a change that no watch is told of, as if its event was lost on the way."""
        with self.changed:
            told = len(self._events)
            change()
            del self._events[told:]

    def end_watch(self, *ends: End) -> None:
        with self.changed:
            self.ends += ends
            self.changed.notify_all()

    def let_go(self) -> None:
        """Give the answers that were held."""
        with self.changed:
            self.held = ""
            self.changed.notify_all()

    def forget(self) -> None:
        """Know nothing any more of versions before the present one."""
        with self.changed:
            self._version += 1
            self._oldest = self._version

    def asked(self, kind: str) -> list[Request]:
        return [request for request in self.requests if request.kind == kind]

    def listed(self, path: str, query: dict[str, str]) -> Object:
        """Return a page of the objects that are asked for."""
        is_selected = selection(path, query["fieldSelector"])
        first = int(query.get("continue", "0"))
        end = first + (self.page if "resourceVersion" in query else min(self.page, int(query["limit"])))
        with self.changed:
            items = list(filter(is_selected, self._objects.values()))
            metadata = {"resourceVersion": str(self._version)}
            if len(items) > end:
                metadata["continue"] = str(end)
            return {"metadata": metadata, "items": items[first:end]}

    def next_lines(self, version: int, server: "Server") -> tuple[list[bytes], int, End | None]:
        """Wait for what a watch has to tell after a version: lines, the version then, and how it ends, if it does."""
        with self.changed:
            self.changed.wait_for(lambda: server.is_stopping or self.ends or self._newer(version))
            if server.is_stopping:
                return [], version, End(is_clean=False)
            if version < self._oldest:
                return [], version, TOO_OLD
            newer = self._newer(version)
            end = self.ends.pop(0) if self.ends else None
            return [line for _, line in newer], newer[-1][0] if newer else version, end

    def _newer(self, version: int) -> list[tuple[int, bytes]]:
        return [event for event in self._events if event[0] > version or version < self._oldest]

    def _tell(self, kind: str, entry: Object) -> None:
        self._version += 1
        entry["metadata"]["resourceVersion"] = str(self._version)
        self._events.append((self._version, event(kind, entry)))
        self.changed.notify_all()


class Server(ThreadingHTTPServer):
    """One run of the API server."""

    def __init__(self, api: FakeApiServer, port: int) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.api = api
        self.is_stopping = False
        self._connections: list[socket.socket] = []
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.005})
        self._thread.start()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.append(request)
        super().process_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that went away."""

    def stop(self) -> None:
        self.shutdown()
        self._thread.join()
        with self.api.changed:
            self.is_stopping = True
            self.api.changed.notify_all()
        for connection in self._connections:
            with suppress(OSError):  # its client has closed it
                connection.shutdown(socket.SHUT_RDWR)
        self.server_close()


class Handler(JsonHandler, BaseHTTPRequestHandler):
    """Answers the requests of one connection."""

    server: Server

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        request = Request(parts.path, query, self.headers["Accept"])
        api = self.server.api
        api.requests.append(request)
        with api.changed:
            api.changed.wait_for(lambda: request.kind != api.held)
        refusal = api.refusals.get(request.kind)
        if refusal is not None:
            self.answer({"message": api.refusal or f"no {request.kind} for you"}, refusal)
        elif request.kind in api.answers:
            self.send(api.answers[request.kind])
        elif request.kind == "discovery":
            group = parts.path.removeprefix("/apis/")
            self.answer({"versions": [{"version": version} for version in api.groups.get(group, [])]})
        elif "sendInitialEvents" in query:  # a list by way of a watch, which older API servers do not know
            self.answer({"kind": "Status", "code": 422, "reason": "Invalid", "message": "unknown option"}, 422)
        elif not self._is_served(parts.path):
            self.answer({"message": "the server could not find the requested resource"}, 404)
        elif request.kind == "object":
            *_, namespace, _, name = parts.path.split("/")
            self._give(api.get(name, namespace))
        elif request.kind == "list":
            self.answer(api.listed(parts.path, query))
        else:
            self._watch(int(query["resourceVersion"]))

    def _give(self, entry: Object | None) -> None:
        if entry is None:
            self.answer({"message": "not found"}, 404)
        else:
            self.answer(entry)

    def _is_served(self, path: str) -> bool:
        _, root, *rest = path.split("/")
        return root == "api" or rest[1] in self.server.api.groups.get(rest[0], [])

    def _watch(self, version: int) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        end: End | None = None
        while end is None:
            lines, version, end = self.server.api.next_lines(version, self.server)
            for line in lines:
                self._chunk(line)
        if end.last:
            self._chunk(end.last)
        if end.is_clean:
            self._chunk(b"")
        else:
            self.close_connection = True

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
