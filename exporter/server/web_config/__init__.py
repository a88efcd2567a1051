"""Prometheus' web configuration file (exporter-toolkit): TLS, headers, passwords and a rate limit of the server."""
