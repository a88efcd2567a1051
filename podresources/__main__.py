"""`python -m podresources`: a table of who holds which device of this node."""

import argparse
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from podresources.allocations import Allocation, Allocations, ClaimAllocation
from podresources.client import KUBELET_SOCKET, PodResourcesClient
from podresources.errors import PodResourcesError

_HEADINGS = ("NAMESPACE", "POD", "CONTAINER", "RESOURCE", "DEVICE", "CLAIM")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print who holds what; returns the exit code: 0, 1 (kubelet did not say), or 2 (a wrong argument)."""
    try:
        try:
            return _print_allocations(_parser().parse_args(arguments))
        finally:
            print(end="", flush=True)  # noqa: T201
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more at its end
        if isinstance(error, BrokenPipeError):  # a reader has seen enough, as head has
            return 0
        print(f"podresources: can't write to standard output: {error.strerror}", file=sys.stderr)  # noqa: T201
        return 1


def _print_allocations(options: argparse.Namespace) -> int:
    client = PodResourcesClient(options.socket)
    try:
        allocations = client.list()
    except PodResourcesError as error:
        print(f"podresources: {error}", file=sys.stderr)  # noqa: T201
        return 1
    finally:
        client.close()
    print(as_json(allocations) if options.json else as_table(allocations))  # noqa: T201
    return 0


def as_json(allocations: Allocations) -> str:
    """Return a JSON list with an object for each allocation, keys as in `Allocation` and `ClaimAllocation`."""
    return json.dumps([allocation._asdict() for allocation in allocations], indent=2)


def as_table(allocations: Allocations) -> str:
    """Return aligned columns with one line for each allocation, whatever characters a name has."""
    if not allocations:
        return "No container on this node holds a device."
    rows = [_HEADINGS, *(_row(allocation) for allocation in allocations)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _row(held: Allocation | ClaimAllocation) -> tuple[str, ...]:
    if isinstance(held, Allocation):
        cells = (held.resource, held.device_id, "")
    else:
        share = f" (share {held.share_id})" if held.share_id else ""
        cells = (held.driver, f"{held.pool}/{held.device}{share}", f"{held.claim_namespace}/{held.claim_name}")
    return tuple(map(_printable, (held.namespace, held.pod, held.container, *cells)))


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m podresources", description="Print which container of which pod holds which device of this node."
    )
    parser.add_argument(
        "--socket", type=Path, default=KUBELET_SOCKET, metavar="PATH", help="kubelet's socket (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # who waits no longer for kubelet wants no traceback
    sys.exit(main())
