"""Content negotiation: which format and which encoding a client asks for. Pure text, total on any input."""

import re

from exporter.exposition import Format

_WEIGHT = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")
_OPENMETRICS = "application/openmetrics-text"


def negotiate_format(accept: str) -> Format:
    """Choose the format for an Accept header: OpenMetrics if the client names it and likes text no better.

    A range that names text/plain counts before text/*, and that before */*. Wildcards never mean OpenMetrics;
    of OpenMetrics only version 1.0.0, or none, is spoken here. Who accepts neither gets text all the same.
    """
    openmetrics = 0.0
    text: dict[str, float] = {}
    for media_type, parameters, weight in _items(accept):
        if media_type == _OPENMETRICS and parameters.get("version", "1.0.0") == "1.0.0":
            openmetrics = max(openmetrics, weight)
        elif media_type in ("text/plain", "text/*", "*/*"):
            text[media_type] = max(text.get(media_type, 0.0), weight)
    best_text = next((text[name] for name in ("text/plain", "text/*", "*/*") if name in text), 0.0)
    return Format.OPENMETRICS if openmetrics > 0 and openmetrics >= best_text else Format.TEXT


def accepts_gzip(accept_encoding: str) -> bool:
    """Tell whether an Accept-Encoding header asks for gzip, and does not prefer the plain text."""
    weights = {coding: weight for coding, _, weight in _items(accept_encoding)}
    gzip = weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0)))
    return gzip > 0 and gzip >= weights.get("identity", 0.0)


def _items(header: str) -> list[tuple[str, dict[str, str], float]]:
    """Split a header into (name, parameters, weight), in lower case; a broken weight counts as 0."""
    items = []
    for item in header.lower().split(","):
        name, *rest = (part.strip() for part in item.split(";"))
        pairs = (part.partition("=") for part in rest)
        parameters = {key.strip(): value.strip().strip('"') for key, _, value in pairs}
        weight = parameters.get("q", "1")
        items.append((name, parameters, float(weight) if _WEIGHT.fullmatch(weight) else 0.0))
    return items
