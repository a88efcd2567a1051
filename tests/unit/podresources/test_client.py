import os
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path

import grpc
import pytest

from podresources.allocations import Allocation
from podresources.client import PodResourcesClient
from podresources.errors import (
    IncompleteList,
    PodResourcesError,
    SocketMissing,
    TimedOut,
    UnexpectedAnswer,
    Unreachable,
)
from podresources.fake_kubelet import AnswerBytes, CutOff, FakeKubelet, Hang, KubeletFault, RateLimit, Refuse, Slow
from podresources.fake_pods import Container, Pod
from tests.unit.fake_clock import FakeClock

NOBODY = 65534
PODS = [Pod("prod", "infer", [Container("main", {"nvidia.com/gpu": ["GPU-1", "GPU-2"]})])]
HELD = tuple(Allocation("prod", "infer", "main", "nvidia.com/gpu", device_id) for device_id in ("GPU-1", "GPU-2"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kubelet.sock"


@pytest.fixture
def client(path: Path) -> Iterator[PodResourcesClient]:
    client = PodResourcesClient(path, deadline_s=1)
    yield client
    client.close()


def failure(client: PodResourcesClient, path: Path) -> PodResourcesError:
    """Return why a list fails, which must be a sentence of one line that names the path and something to do."""
    with pytest.raises(PodResourcesError) as caught:
        client.list()
    text = str(caught.value)
    assert str(path) in text
    assert "\n" not in text
    assert ": " in text
    assert caught.value.__cause__ is None
    return caught.value


def connections(path: Path) -> set[str]:
    """Return the inodes of the accepted connections of a listening socket, as Linux lists them."""
    rows = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()]
    return {row[6] for row in rows if row[5] == "03" and Path(row[-1]).parent == path.parent}


# Nobody to talk to.


def nothing(_: Path) -> None:
    """There is nothing at the path."""


def folder(path: Path) -> None:
    path.mkdir()


def file(path: Path) -> None:
    path.write_text("not a socket")


@pytest.mark.parametrize(
    ("make", "says"), [(nothing, "does not exist"), (folder, "is a directory"), (file, "is not a socket")]
)
def test_what_is_no_socket_is_named(
    client: PodResourcesClient, path: Path, make: Callable[[Path], None], says: str
) -> None:
    make(path)
    error = failure(client, path)
    assert isinstance(error, SocketMissing)
    assert says in str(error)


def test_a_path_through_a_file_and_one_too_long_for_a_name_are_no_socket(tmp_path: Path) -> None:
    file(tmp_path / "file")
    for path in (tmp_path / "file" / "kubelet.sock", tmp_path / ("long" * 100)):
        assert isinstance(failure(PodResourcesClient(path), path), SocketMissing)


def test_a_socket_that_a_stopped_kubelet_left_behind_is_unreachable(client: PodResourcesClient, path: Path) -> None:
    with FakeKubelet(path) as kubelet:
        client.list()
        kubelet.stop()
        errors = [failure(client, path), failure(client, path)]  # of the kept connection, and of a new one
    for error in errors:
        assert isinstance(error, Unreachable)
        assert "nothing listens" in str(error)


def test_a_socket_of_another_kind_is_unreachable(client: PodResourcesClient, path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagrams:
        datagrams.bind(str(path))
        assert isinstance(failure(client, path), Unreachable)


@contextmanager
def without_rights() -> Iterator[None]:
    """Be an ordinary user for a while; who is one already stays it."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if user == 0:
            os.seteuid(0)


@pytest.mark.parametrize(("folder_mode", "socket_mode"), [(0o000, 0o755), (0o755, 0o000)])
def test_a_socket_that_this_user_may_not_open_says_who_may(folder_mode: int, socket_mode: int) -> None:
    folder = Path(tempfile.mkdtemp())  # not in pytest's folder, which is closed to all others
    path = folder / "kubelet.sock"
    client = PodResourcesClient(path)
    try:
        with FakeKubelet(path):
            path.chmod(socket_mode)
            folder.chmod(folder_mode)
            with without_rights():
                error = failure(client, path)
            folder.chmod(0o755)
    finally:
        shutil.rmtree(folder)
    assert isinstance(error, Unreachable)
    assert "no permission" in str(error)


# Somebody who is not kubelet.


@contextmanager
def server_without_the_api(path: Path) -> Iterator[None]:
    with ThreadPoolExecutor(1) as workers:
        server = grpc.server(workers)
        server.add_insecure_port(f"unix:{path}")
        server.start()
        yield
        server.stop(5.0).wait()  # without grace, gRPC prints a line about it on the client's side


def test_a_grpc_server_of_another_api_is_unexpected(client: PodResourcesClient, path: Path) -> None:
    with server_without_the_api(path):
        error = failure(client, path)
    assert isinstance(error, UnexpectedAnswer)
    assert "no PodResources v1 API" in str(error)


@contextmanager
def server_of_bytes(path: Path, answer: bytes) -> Iterator[None]:
    """Say something to each connection, and hang up."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            while True:
                connection, _ = listener.accept()
                with connection:
                    if not answer:
                        return
                    with suppress(OSError):  # a visitor who has left
                        connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield
        answer = b""
        with socket.socket(socket.AF_UNIX) as last:
            last.connect(str(path))
        thread.join()


def test_a_server_of_another_protocol_is_unreachable(client: PodResourcesClient, path: Path) -> None:
    with server_of_bytes(path, b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"):
        error = failure(client, path)
    assert isinstance(error, Unreachable)
    assert "not kubelet" in str(error)


@contextmanager
def deaf_listener(path: Path, *, is_full: bool) -> Iterator[None]:
    """Listen and accept nobody, with room for those who wait or without."""
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as waiting:
        listener.bind(str(path))
        listener.listen(0 if is_full else 10)
        if is_full:
            waiting.connect(str(path))
        yield


@pytest.mark.parametrize("is_full", [False, True])
def test_a_process_that_accepts_nobody_times_out(client: PodResourcesClient, path: Path, *, is_full: bool) -> None:
    with deaf_listener(path, is_full=is_full):
        assert isinstance(failure(client, path), TimedOut)


# kubelet in trouble.

FAULTS: list[tuple[KubeletFault, type[PodResourcesError], str]] = [
    (Hang(), TimedOut, "within 1 s"),
    (Slow(5), TimedOut, "within 1 s"),
    (RateLimit(per_second=0, burst=0), Unreachable, "rejected by rate limit"),
    (Refuse("UNAVAILABLE", "shutting\ndown"), Unreachable, "shutting down"),
    (Refuse("CANCELLED"), Unreachable, "CANCELLED"),
    (Refuse("UNIMPLEMENTED"), UnexpectedAnswer, "UNIMPLEMENTED"),
    (Refuse("INTERNAL", "x" * 5_000), UnexpectedAnswer, "INTERNAL: xxx"),
    (Refuse("PERMISSION_DENIED", "no"), UnexpectedAnswer, "PERMISSION_DENIED: no"),
    (CutOff(), UnexpectedAnswer, "cut off"),
    (AnswerBytes(b"\xff" * 20), UnexpectedAnswer, "20 bytes"),
    (AnswerBytes(b"\x0a\x03\x0a\x01\xff"), UnexpectedAnswer, "5 bytes"),  # a name that is not UTF-8
    (AnswerBytes(bytes(17 << 20)), UnexpectedAnswer, "too large"),
]


@pytest.mark.parametrize(("fault", "kind", "says"), FAULTS, ids=[repr(fault)[:20] for fault, _, _ in FAULTS])
def test_each_fault_of_kubelet_is_named_and_over_with_the_next_good_answer(
    client: PodResourcesClient, path: Path, fault: KubeletFault, kind: type[PodResourcesError], says: str
) -> None:
    with FakeKubelet(path, PODS) as kubelet:
        assert client.list() == HELD
        kubelet.set_fault(fault)
        error = failure(client, path)
        kubelet.set_fault(None)
        assert client.list() == HELD
    assert type(error) is kind
    assert says in str(error)
    assert len(str(error)) < 600


def test_a_kubelet_that_stops_during_a_call_is_unreachable(path: Path) -> None:
    client = PodResourcesClient(path, deadline_s=10)
    with FakeKubelet(path, PODS) as kubelet, ThreadPoolExecutor(1) as threads:
        client.list()
        kubelet.set_fault(Hang())
        listed = threads.submit(client.list)
        kubelet.stop()
        assert isinstance(listed.exception(), Unreachable)
    client.close()


def test_a_kubelet_that_answers_late_but_in_time_is_heard(client: PodResourcesClient, path: Path) -> None:
    with FakeKubelet(path, PODS) as kubelet:
        kubelet.set_fault(Slow(0.05))
        assert client.list() == HELD


# One connection, for as long as it is good.


def test_one_connection_is_kept_from_call_to_call(client: PodResourcesClient, path: Path) -> None:
    with FakeKubelet(path, PODS):
        seen = []
        for _ in range(5):
            client.list()
            seen.append(connections(path))
    assert len(seen[0]) == 1
    assert seen == [seen[0]] * 5


def test_a_failed_call_makes_the_next_one_connect_anew(client: PodResourcesClient, path: Path) -> None:
    with FakeKubelet(path, PODS) as kubelet:
        client.list()
        before = connections(path)
        kubelet.set_fault(Refuse("INTERNAL"))
        failure(client, path)
        kubelet.set_fault(None)
        client.list()
        assert not connections(path) & before


def test_a_restarted_kubelet_is_asked_at_once_and_each_time(client: PodResourcesClient, path: Path) -> None:
    with FakeKubelet(path, PODS) as kubelet:
        for number in range(5):
            kubelet.set_pods([Pod("prod", f"pod-{number}", [Container("main", {"gpu": ["0"]})])])
            kubelet.restart()
            assert client.list() == (Allocation("prod", f"pod-{number}", "main", "gpu", "0"),)


def test_a_replaced_socket_is_followed_while_the_old_kubelet_still_serves(
    client: PodResourcesClient, path: Path, tmp_path: Path
) -> None:
    with FakeKubelet(path, PODS), FakeKubelet(tmp_path / "new.sock") as new:
        assert client.list() == HELD
        (tmp_path / "new.sock").rename(path)
        with pytest.raises(IncompleteList, match="just started"):
            client.list()
        new.set_pods(PODS)
        assert client.list() == HELD


def test_a_restarted_kubelets_empty_list_is_believed_after_three_seconds(path: Path) -> None:
    clock = FakeClock()
    client = PodResourcesClient(path, now=clock.monotonic)
    with FakeKubelet(path, PODS) as kubelet:
        assert client.list() == HELD
        kubelet.set_pods([])
        assert client.list() == (), "no restart, no doubt"
        kubelet.set_pods(PODS)
        assert client.list() == HELD
        kubelet.set_pods([])
        kubelet.restart()
        for later_s in (0.0, 2.9):
            clock.advance(later_s)
            with pytest.raises(IncompleteList, match="just started and lists no pods yet"):
                client.list()
        clock.advance(0.2)
        assert client.list() == ()
    client.close()


OWN = Pod("monitoring", "exporter-x7k2p", [Container("exporter")])
STATIC = Pod("kube-system", "dcgm-node0", [Container("main", {"nvidia.com/gpu": ["GPU-7"]})])


@pytest.mark.parametrize("first", [[], [STATIC], [Pod("monitoring", "other"), Pod("other", "exporter-x7k2p")]])
def test_a_list_is_believed_when_it_has_the_own_pod_in_it(path: Path, first: list[Pod]) -> None:
    clock = FakeClock()
    client = PodResourcesClient(path, now=clock.monotonic, own_pod=("monitoring", "exporter-x7k2p"))
    with FakeKubelet(path, first) as kubelet:
        for _ in range(3):
            error = failure(client, path)
            assert isinstance(error, IncompleteList)
            assert "monitoring/exporter-x7k2p" in str(error)
            clock.advance(3600.0)
        kubelet.set_pods([*PODS, OWN])
        assert client.list() == HELD
        kubelet.set_pods([OWN])
        assert client.list() == (), "known emptiness"
        kubelet.set_pods(first)
        kubelet.restart()
        assert isinstance(failure(client, path), IncompleteList)
    client.close()


def test_a_thousand_pods_come_in_one_answer(path: Path) -> None:
    devices = {"nvidia.com/gpu": [f"{'a-very-long-id-' * 100}{number}" for number in range(4)]}
    pods = [Pod("prod", f"pod-{number}", [Container("main", devices)]) for number in range(1000)]  # 6 MB
    client = PodResourcesClient(path)
    with FakeKubelet(path, pods):
        assert len(client.list()) == 4000
    client.close()


@pytest.mark.parametrize("name", ["with space.sock", "50%25.sock", "a#b?c.sock", "ü.sock", b"\xff.sock"])
def test_any_path_works(tmp_path: Path, name: str | bytes) -> None:
    path = tmp_path / os.fsdecode(name)
    client = PodResourcesClient(path)
    with FakeKubelet(path, PODS):
        assert client.list() == HELD
    client.close()


def test_closing_ends_a_call_that_waits_and_every_later_one(path: Path) -> None:
    client = PodResourcesClient(path, deadline_s=60)
    with FakeKubelet(path, PODS) as kubelet, ThreadPoolExecutor(1) as threads:
        client.list()
        kubelet.set_fault(Hang())
        listed = threads.submit(client.list)
        time.sleep(0.1)  # it waits by now
        client.close()
        for error in (listed.exception(10), failure(client, path)):
            assert isinstance(error, Unreachable)
            assert "the client of" in str(error)


def test_failures_print_nothing_of_their_own(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    client = PodResourcesClient(path, deadline_s=0.05)
    states: list[AbstractContextManager[object]] = [nullcontext(), server_without_the_api(path)]
    states += [server_of_bytes(path, b"garbage"), deaf_listener(path, is_full=False)]
    for state in states:
        path.unlink(missing_ok=True)
        with state:
            failure(client, path)
    client.close()
    assert capfd.readouterr() == ("", "")
