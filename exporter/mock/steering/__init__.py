"""Changing a mock while it runs: JSON over HTTP."""
