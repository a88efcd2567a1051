"""What becomes of clients where the server can't accept them: file descriptors have run out."""

import os
import resource
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.unit.server.serving import LAST_SCRAPE, SCRAPE, is_ended, read_to_end, started_by_systemd
from tests.waiting import PATIENCE_S


@contextmanager
def started() -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Start a server of its own process; returns it and its port."""
    with socket.create_server(("127.0.0.1", 0)) as listening, started_by_systemd(listening.fileno()) as child:
        port = listening.getsockname()[1]
        with connected(port) as sock:
            sock.sendall(LAST_SCRAPE)
            assert read_to_end(sock).startswith(b"HTTP/1.1 200 OK")
        yield child, port


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), PATIENCE_S)


def leave_descriptors(child: subprocess.Popen[str], count: int) -> None:
    """Let a process open so many more files."""
    used = {int(path.name) for path in Path(f"/proc/{child.pid}/fd").iterdir()}
    limit = [number for number in range(len(used) + count + 1) if number not in used][count]
    resource.prlimit(child.pid, resource.RLIMIT_NOFILE, (limit, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


def cpu_s(child: subprocess.Popen[str]) -> float:
    fields = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def log_of(child: subprocess.Popen[str]) -> list[str]:
    child.kill()
    assert child.stderr is not None
    return child.stderr.read().splitlines()


def test_without_descriptors_clients_wait_at_no_cost_and_the_log_has_one_line() -> None:
    with started() as (child, port):
        leave_descriptors(child, 0)
        with connected(port) as waiting:
            waiting.sendall(LAST_SCRAPE)
            before = cpu_s(child)
            threading.Event().wait(2.0)
            assert cpu_s(child) - before < 0.5, "of 2 s"
            leave_descriptors(child, 10)
            assert read_to_end(waiting).startswith(b"HTTP/1.1 200 OK")
        (line,) = log_of(child)
        assert "can't accept connections: Too many open files" in line


def test_idle_connections_make_room_for_a_scrape() -> None:
    with started() as (child, port), ExitStack() as crowd:
        leave_descriptors(child, 3)
        for _ in range(6):
            crowd.enter_context(connected(port)).sendall(SCRAPE)
        with connected(port) as late:
            late.sendall(LAST_SCRAPE)
            assert read_to_end(late).startswith(b"HTTP/1.1 200 OK")
        (line,) = log_of(child)
        assert "can't accept connections" in line


def test_older_half_of_the_idle_connections_makes_room_at_once() -> None:
    with started() as (child, port), ExitStack() as crowd:
        idle = [crowd.enter_context(connected(port)) for _ in range(20)]
        for sock in idle:
            sock.sendall(SCRAPE)
            assert sock.recv(65536).startswith(b"HTTP/1.1 200 OK")
        leave_descriptors(child, 0)
        with connected(port) as late:
            late.sendall(LAST_SCRAPE)
            assert read_to_end(late).startswith(b"HTTP/1.1 200 OK")
        assert all(is_ended(sock, within_s=1) for sock in idle[:10]), "long before their time is over"
        assert not any(is_ended(sock, within_s=0) for sock in idle[10:])
