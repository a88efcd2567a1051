"""The one place that talks to the Kubernetes API server: ConfigMaps by one request, other objects by a watch.

The client library takes half a second and 30 MiB to import, so that it is imported by the first connection.
"""

from exporter.kube.config_maps import read_config_map
from exporter.kube.connection import ApiServer, connect
from exporter.kube.own_node import OwnNode
from exporter.kube.pace import NORMAL_PACE, Pace
from exporter.kube.resources import Key, Resource
from exporter.kube.watch import Watch

__all__ = ["NORMAL_PACE", "ApiServer", "Key", "OwnNode", "Pace", "Resource", "Watch", "connect", "read_config_map"]
