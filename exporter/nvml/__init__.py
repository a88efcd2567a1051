"""The only package that calls NVML, and its mock."""
