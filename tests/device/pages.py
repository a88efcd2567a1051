"""The exporter's pages, as tests and proofs on a real GPU scrape them."""

import urllib.request


def fetch(address: str, accept: str = "text/plain") -> str:
    """Return an exporter's page."""
    request = urllib.request.Request(f"http://{address}/metrics", headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=5) as answer:
        text: str = answer.read().decode()
    return text


def page_of(address: str) -> str:
    """Return the page of an exporter that may start, restart or be gone: empty while there is none."""
    try:
        return fetch(address)
    except OSError:
        return ""
