"""What can be watched, and the requests and answers of a list and a watch. No thread, no state, no trying again.

Source: Kubernetes API concepts, "Efficient detection of changes" and "Semantics for get, list, and watch".
"""

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Generic, NamedTuple, TypeVar

from exporter.errors import AnswerTooLarge, KubeError
from exporter.kube.connection import GARBAGE, JSON, ApiServer, Lines, Query, no_api_server, parse_json, sentence

T = TypeVar("T")

Key = tuple[str, str]
"""An object's namespace and name; objects of the cluster have the namespace ""."""

PAGE = 500
"""How many objects one answer to a list may hold. An API server that answers from its cache gives all at once."""

SMALL_PAGE = 10
"""How many, where that was too much: etcd takes no object of more than 1.5 MiB, about 3 MiB as JSON."""

MOST_OBJECTS = 10_000
"""More objects than this are no node's: kubelet runs 110 pods, some hundreds at most."""


@dataclass(frozen=True, slots=True)
class Resource(Generic[T]):
    """Objects of one kind that a watch follows.

    Attributes:
        called: What users read of them: "pods of node gpu-1".
        group: The API group; "" is the core's.
        versions: The group's versions whose objects `parse` understands; the first that is served is taken.
        plural: The kind as paths have it.
        select: Says which of the objects, as a field selector, and may ask the API server for that.
        is_metadata_enough: Ask for metadata alone, where the API server can give that.
        parse: Makes of an object what is kept of it; None where nothing is. It may fail by any of GARBAGE.
    """

    called: str
    group: str
    versions: tuple[str, ...]
    plural: str
    select: Callable[[ApiServer], str]
    is_metadata_enough: bool
    parse: Callable[[Any], T | None]


class Selection(NamedTuple):
    """Where an API server has the objects, and which of those there are meant."""

    path: str
    field_selector: str


class Listed(NamedTuple, Generic[T]):
    """All objects, and the version of the whole at which they were so."""

    version: str
    items: dict[Key, T]


class Event(NamedTuple, Generic[T]):
    """A change: what an object is now, None where it is gone. A bookmark has no key and tells the version alone."""

    version: str
    key: Key | None = None
    item: T | None = None


def find_selection(server: ApiServer, resource: Resource[Any]) -> Selection:
    """Return where the API server has the objects, which it is asked for where several places are possible.

    Raises:
        KubeError: It serves none of the versions, with status 404, or can't be asked.
        ConfigError: TLS fails.
    """
    root = find_version(server, resource.group, resource.versions)
    return Selection(f"{root}/{resource.plural}", resource.select(server))


def find_version(server: ApiServer, group: str, versions: tuple[str, ...]) -> str:
    """Return the path of the first version of a group that is served; the core's only version is not asked for.

    Raises:
        KubeError: It serves none of the versions, with status 404, or can't be asked.
        ConfigError: TLS fails.
    """
    if not group:
        return f"/api/{versions[0]}"
    path = f"/apis/{group}"
    answer = server.get(path)
    try:
        served = {str(version["version"]) for version in answer["versions"]}
    except GARBAGE:
        raise no_api_server(server.host) from None
    for version in versions:
        if version in served:
            return f"{path}/{version}"
    raise KubeError(
        f"the API server serves none of the versions {', '.join(versions)} of {group}", HTTPStatus.NOT_FOUND
    )


def read_all(server: ApiServer, selection: Selection, resource: Resource[T], version: str) -> Listed[T]:
    """Return all objects, page by page; in small pages where an answer is too large.

    Args:
        server: The API server.
        selection: Where it has them, and which of them.
        resource: What is kept of each.
        version: They must not be older than this one; "0" takes what the API server has in memory, "" has it look
            for the newest.

    Raises:
        KubeError: The list can't be had.
        ConfigError: TLS fails.
    """
    wanted = (("resourceVersion", version), ("resourceVersionMatch", "NotOlderThan")) if version else ()
    try:
        return _read_pages(server, selection, resource, PAGE, wanted)
    except AnswerTooLarge:  # an API server that answers from its cache heeds no limit, so ask for what etcd has
        return _read_pages(server, selection, resource, SMALL_PAGE, ())


def _read_pages(server: ApiServer, selection: Selection, resource: Resource[T], limit: int, wanted: Query) -> Listed[T]:
    accept = _accept(resource, "PartialObjectMetadataList")
    selected = (("fieldSelector", selection.field_selector), ("limit", str(limit)))
    query: Query = selected + wanted
    items: dict[Key, T] = {}
    for _ in range(MOST_OBJECTS // limit):
        page = server.get(selection.path, query, accept)
        try:
            version, token = str(page["metadata"]["resourceVersion"]), page["metadata"].get("continue")
            found = {_key(entry): resource.parse(entry) for entry in page["items"] or ()}
        except GARBAGE:
            raise no_api_server(server.host) from None
        items |= {key: item for key, item in found.items() if item is not None}
        if not token:
            return Listed(version, items)
        query = (*selected, ("continue", str(token)))
    raise KubeError(f"{server.host} lists more than {MOST_OBJECTS} objects for {resource.called}")


class WatchLimits(NamedTuple):
    """How long a watch may last and how long it may be silent, in seconds."""

    longest_s: int
    silence_s: float


def open_watch(
    server: ApiServer, selection: Selection, resource: Resource[Any], version: str, limits: WatchLimits
) -> Lines:
    """Begin a watch, and return the lines of its events.

    Args:
        server: The API server.
        selection: Where it has the objects, and which of them.
        resource: Of what form they are wanted.
        version: The last one that is known.
        limits: The time after which the API server shall end it, and the silence after which it ends here.

    Raises:
        KubeError: There is no watch.
        ConfigError: TLS fails.
    """
    query = (
        ("fieldSelector", selection.field_selector),
        ("watch", "1"),
        ("allowWatchBookmarks", "true"),
        ("resourceVersion", version),
        ("timeoutSeconds", str(limits.longest_s)),
    )
    return server.stream(selection.path, query, _accept(resource, "PartialObjectMetadata"), limits.silence_s)


def parse_event(line: bytes, resource: Resource[T], host: str) -> Event[T]:
    """Read one line of a watch.

    Raises:
        KubeError: It says why the watch ends, status 410 for a version that is too old; or it is no event.
    """
    try:
        event = parse_json(line)
        kind, entry = event["type"], event["object"]
        if kind == "ERROR":
            status, message = int(entry.get("code") or 0), sentence(entry.get("message"))
            raise KubeError(f"the API server ended the watch with {status}: {message}", status)
        version = str(entry["metadata"]["resourceVersion"])
        if kind == "BOOKMARK":
            return Event(version)
        return Event(version, _key(entry), None if kind == "DELETED" else resource.parse(entry))
    except GARBAGE:
        raise no_api_server(host) from None


def _accept(resource: Resource[Any], kind: str) -> str:
    return f"{JSON};as={kind};g=meta.k8s.io;v=v1,{JSON}" if resource.is_metadata_enough else JSON


def _key(entry: Any) -> Key:
    metadata = entry["metadata"]
    return str(metadata.get("namespace") or ""), str(metadata["name"])
