"""NVML's functions as the mock has them, under pynvml's names."""
