"""Who holds which device of this node, as kubelet says it: a client of kubelet's PodResources API.

It stands on its own and knows nothing of GPUs. `allocations`, `errors` and `poller` need nothing but the standard
library; `client`, `fake_kubelet` and `device_plugin`, which offers a kubelet devices, import gRPC.
`python -m podresources` prints a table.
"""
