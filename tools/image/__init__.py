"""Builds the container image from the Dockerfile, with neither a container daemon nor a registry."""
