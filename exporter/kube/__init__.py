"""The one place that talks to the Kubernetes API server: ConfigMaps by one request, other objects by a watch.

The client library takes half a second and 30 MiB to import, so that it is imported by the first connection.
"""

from exporter.kube.config_maps import read_config_map
from exporter.kube.connection import GARBAGE, ApiServer, connect, need_client, no_api_server
from exporter.kube.objects import read_objects
from exporter.kube.own_node import OwnNode
from exporter.kube.pace import NORMAL_PACE, Backoff, Pace
from exporter.kube.resources import Key, Resource, find_version
from exporter.kube.rights import Right, is_allowed
from exporter.kube.watch import Watch

__all__ = [
    "GARBAGE",
    "NORMAL_PACE",
    "ApiServer",
    "Backoff",
    "Key",
    "OwnNode",
    "Pace",
    "Resource",
    "Right",
    "Watch",
    "connect",
    "find_version",
    "is_allowed",
    "need_client",
    "no_api_server",
    "read_config_map",
    "read_objects",
]
