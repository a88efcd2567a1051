"""Who holds which device of this node, as kubelet says it: a client of kubelet's PodResources API.

It stands on its own, and but for `device_plugin`, which offers GPUs to a kubelet, it knows nothing of GPUs.
`allocations`, `errors` and `poller` need nothing but the standard library; `client`, `fake_kubelet` and `device_plugin`
import gRPC.
`python -m podresources` prints a table.
"""
