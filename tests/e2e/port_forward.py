"""`kubectl port-forward`, as the guide has people run it beside what they ask."""

import http.client
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from tests.e2e.cluster import Cluster
from tests.waiting import NotYet, wait_for

_WITHIN_S = 20.0


@contextmanager
def port_forward(cluster: Cluster, what: str, port: int, path: str) -> Iterator[None]:
    """Let a port of a pod or Service of monitoring, which answers at a path, be reached at localhost."""
    folder = cluster.control_plane.certificates
    access = (f"--kubeconfig={folder / 'admin.kubeconfig'}", f"--cache-dir={folder.parent / 'kubectl'}")
    program = cluster.control_plane.program(
        "kubectl", *access, "port-forward", what, f"{port}:{port}", "--namespace=monitoring"
    )
    program.start()
    try:

        def look() -> None:
            program.must_run()
            fetch(f"http://localhost:{port}{path}")

        wait_for(f"kubectl port-forward {what}", look, _WITHIN_S)
        yield
    finally:
        program.stop()


def fetch(url: str) -> str:
    """Return what curl would print; raises NotYet where it would fail."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            text: str = answer.read().decode()
    except urllib.error.HTTPError as error:
        raise NotYet(f"{url}: {error.code} {error.read().decode(errors='replace')}") from None
    except (OSError, http.client.HTTPException) as error:
        raise NotYet(f"{url}: {error}") from None
    return text
