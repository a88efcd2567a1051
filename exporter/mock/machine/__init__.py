"""The mock's machine: GPUs, what keeps them busy, what goes wrong with them, and the pods that hold them."""
