"""kubelet's PodResources v1 messages, generated from podresources.proto by `make stubs`.

There are no generated service stubs: the client makes one unary call, and reads its bytes itself.
"""

SERVICE = "v1.PodResourcesLister"
"""The service's full name in gRPC."""
