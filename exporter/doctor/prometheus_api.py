"""Prometheus: which one, and asking it, by its own address or through the API server."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from exporter.doctor.surroundings import Object, Surroundings
from exporter.errors import ConfigError, FetchError, KubeError
from exporter.kube import GARBAGE
from exporter.scraping import fetch, without_login

_PORT = 9090
_NAMES = frozenset({"prometheus"})
Query = tuple[tuple[str, str], ...]
_OPERATED = "prometheus-operated"


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A Prometheus: what users call it, what gives the answer to a path and a query, and the host names it has."""

    place: str
    ask: Callable[[str, Query], str]
    hosts: frozenset[str] = frozenset()

    def get(self, what: str, **parameters: str) -> Any:
        """Return `data` of an answer of its API.

        Raises:
            FetchError: It does not answer, or not as Prometheus does.
        """
        try:
            answer = json.loads(self.ask(f"/api/v1/{what}", tuple(parameters.items())))
            if answer["status"] != "success":
                raise FetchError(f"{self.place} answers: {answer.get('error')}")
            return answer["data"]
        except (KubeError, ConfigError) as error:
            status = error.status if isinstance(error, KubeError) else 0
            raise FetchError(f"{self.place}: {error}", status) from None
        except GARBAGE:
            raise FetchError(f"{self.place} does not answer like Prometheus") from None

    def vector(self, query: str) -> list[tuple[Mapping[str, str], float]]:
        """Return labels and value of each series of a query.

        Raises:
            FetchError: It does not answer, or not as Prometheus does.
        """
        found = self.get("query", query=query)
        try:
            return [(one["metric"], float(one["value"][1])) for one in found["result"]]
        except GARBAGE:
            raise FetchError(f"{self.place} does not answer like Prometheus") from None


def find_prometheus(look: Surroundings) -> list[Prometheus]:
    """Return the Prometheus that is named, or those whose Services are in the cluster.

    Raises:
        KubeError: None is named, and the cluster's can't be looked for.
    """
    if look.asked.prometheus:
        url = look.asked.prometheus.rstrip("/")
        return [Prometheus(without_login(url), lambda path, query: fetch(f"{url}{path}?{urlencode(query)}"))]
    services = [one for one in look.objects("/api/v1/services") if is_prometheus(one)]
    of_stack = [one for one in services if one["metadata"]["name"] != _OPERATED]
    return [_through_api(look, one) for one in of_stack or services]


def is_prometheus(service: Object) -> bool:
    """Tell whether a Service leads to a Prometheus, by how the operator and the usual charts label its pods."""
    selector = service["spec"].get("selector") or {}
    names = {selector.get("app.kubernetes.io/name"), selector.get("app"), selector.get("k8s-app")}
    is_server = selector.get("app.kubernetes.io/component", "server") in {"server", "prometheus"}
    return bool(names & _NAMES) and is_server and _port(service) is not None


def _port(service: Object) -> int | None:
    ports = service["spec"].get("ports") or ()
    by_number = [one["port"] for one in ports if one["port"] == _PORT or one.get("targetPort") == _PORT]
    by_name = [one["port"] for one in ports if one.get("name") in {"web", "http-web", "http"}]
    return next(iter((*by_number, *by_name)), None)


def _through_api(look: Surroundings, service: Object) -> Prometheus:
    namespace, name = service["metadata"]["namespace"], service["metadata"]["name"]
    port = _port(service)
    root = f"/api/v1/namespaces/{quote(namespace)}/services/{quote(name)}:{port}/proxy"
    hosts = frozenset(f"{name}.{namespace}{rest}:{port}" for rest in ("", ".svc", ".svc.cluster.local"))
    return Prometheus(f"{namespace}/{name}:{port}", lambda path, query: look.api.text(f"{root}{path}", query), hosts)
