"""The landing page at /, for the person who opens the exporter in a browser."""

from html import escape

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>GPU metrics exporter</title></head>
<body>
<h1>GPU metrics exporter {version}</h1>
<p>This node's GPUs, as Prometheus series under DCGM's names.</p>
<ul>
<li><a href="metrics">/metrics</a>: what Prometheus scrapes, as text or OpenMetrics</li>
<li><a href="health">/health</a>: 200 while the exporter works, else 503</li>
<li><a href="ready">/ready</a>: 200 once every GPU has been read or is reported lost, else 503</li>
</ul>
</body>
</html>
"""


def landing_page(version: str) -> bytes:
    """Return the page as UTF-8. Its links are relative, so that they survive a proxy's path prefix."""
    return _PAGE.format(version=escape(version)).encode()
