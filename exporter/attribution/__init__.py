"""Joins entities with kubelet's allocations: who owns each GPU and MIG instance, and where that answer comes from."""
