"""DCGM-compatible GPU metrics exporter that needs only NVML."""

__version__ = "0.1.0"
