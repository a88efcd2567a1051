"""As much of an API server as prometheus-adapter talks to, and what it asked of it."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from tests.json_handler import JsonHandler

Object = dict[str, Any]

AUTHENTICATION = "extension-apiserver-authentication"
_POD = {"name": "pods", "singularName": "pod", "namespaced": True, "kind": "Pod", "verbs": ["get", "list"]}
_NAMESPACE = {
    "name": "namespaces",
    "singularName": "namespace",
    "namespaced": False,
    "kind": "Namespace",
    "verbs": ["get"],
}


class Access(NamedTuple):
    """Something that was done, as RBAC names it."""

    verb: str
    group: str
    resource: str
    namespace: str = ""


class FakeCluster(ThreadingHTTPServer):
    """Serves discovery, pods by label, reviews that allow everything, and the API server's own CA.

    Attributes:
        pods: Names of pods in the namespace `inference`.
        accesses: What was done besides discovery, which everybody may.
    """

    daemon_threads = True

    def __init__(self, pods: list[str], ca: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.pods = pods
        self.ca = ca
        self.accesses: set[Access] = set()
        self.is_over = threading.Event()

    def write_kubeconfig(self, path: Path) -> None:
        """Write how to reach it, as an administrator."""
        user = {"name": "a", "user": {"token": "secret"}}
        cluster = {"name": "a", "cluster": {"server": f"http://127.0.0.1:{self.server_port}"}}
        context = {"name": "a", "context": {"cluster": "a", "user": "a"}}
        config = {"current-context": "a", "contexts": [context], "clusters": [cluster], "users": [user]}
        path.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", **config}), encoding="utf-8")

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that went away."""


@contextmanager
def fake_cluster(pods: list[str], ca: str) -> Iterator[FakeCluster]:
    with FakeCluster(pods, ca) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.is_over.set()
            server.shutdown()
            thread.join()


class _Handler(JsonHandler, BaseHTTPRequestHandler):
    server: FakeCluster

    def do_GET(self) -> None:
        path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
        verb = "watch" if "watch" in query else "list"
        if path == "/api":
            self.answer({"kind": "APIVersions", "versions": ["v1"]})
        elif path == "/apis":
            self.answer({"kind": "APIGroupList", "apiVersion": "v1", "groups": []})
        elif path == "/api/v1":
            self.answer({"kind": "APIResourceList", "groupVersion": "v1", "resources": [_POD, _NAMESPACE]})
        elif path == "/api/v1/namespaces/inference/pods":
            self._note(Access(verb, "", "pods"))
            items = [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}} for name in self.server.pods]
            self.answer({"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": items})
        elif path.startswith("/api/v1/namespaces/kube-system/configmaps"):
            is_one = path.endswith(AUTHENTICATION)
            self._note(Access("get" if is_one else verb, "", "configmaps", "kube-system"))
            self._configmap(is_one=is_one, is_watch=verb == "watch")
        else:
            self._note(Access(verb, "?", path))
            self.answer({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404}, 404)

    def do_POST(self) -> None:
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._note(Access("create", review["apiVersion"].partition("/")[0], f"{review['kind'].lower()}s"))
        if review["kind"] == "TokenReview":
            review["status"] = {"authenticated": True, "user": {"username": "hpa"}}
        else:
            review["status"] = {"allowed": True}
        self.answer(review, 201)

    def _configmap(self, *, is_one: bool, is_watch: bool) -> None:
        data = {"client-ca-file": self.server.ca, "requestheader-client-ca-file": self.server.ca}
        metadata = {"name": AUTHENTICATION, "namespace": "kube-system", "resourceVersion": "1"}
        one = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": metadata, "data": data}
        if is_watch:
            self.server.is_over.wait()  # nothing happens
        elif is_one:
            self.answer(one)
        else:
            version = {"resourceVersion": "1"}
            self.answer({"kind": "ConfigMapList", "apiVersion": "v1", "metadata": version, "items": [one]})

    def _note(self, access: Access) -> None:
        self.server.accesses.add(access)
