"""The client: asks kubelet over its Unix socket who holds what.

It owns the connection. What it learns is plain data (`allocations`); what goes wrong, `diagnosis` says.
"""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import grpc
from google.protobuf.message import DecodeError

from podresources.allocations import Allocations, parse_allocations
from podresources.diagnosis import SocketId, explain_code, find_socket, try_connecting, unreadable_answer
from podresources.errors import IncompleteList, PodResourcesError, Unreachable
from podresources.v1 import SERVICE
from podresources.v1.podresources_pb2 import ListPodResourcesRequest, ListPodResourcesResponse

KUBELET_SOCKET = Path("/var/lib/kubelet/pod-resources/kubelet.sock")
"""Where kubelet serves PodResources, unless its root directory was moved."""

DEADLINE_S = 2.0
"""How long one answer may take. kubelet answers from memory, in a millisecond or a few."""

MAX_ANSWER_BYTES = 16 << 20
"""The largest answer that is read: 16 KiB for each of 1000 pods."""

STARTING_S = 3.0
"""For how long a restarted kubelet's empty list is not believed where the own pod is not known: it lists nobody until
it has the node's pods from the API server, about a second as a rule, while their containers run all the time."""

_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_ANSWER_BYTES),
    ("grpc.use_local_subchannel_pool", 1),  # a new channel inherits no back-off from the one before
    ("grpc.enable_http_proxy", 0),
)


class PodResourcesClient:
    """A client with one connection, kept for as long as calls succeed and kubelet's socket is the same file.

    One thread calls `list`. `close` may be called from any, and ends a `list` that waits for its answer.
    """

    def __init__(
        self,
        path: Path = KUBELET_SOCKET,
        deadline_s: float = DEADLINE_S,
        now: Callable[[], float] = time.monotonic,
        own_pod: tuple[str, str] | None = None,
    ) -> None:
        """Prepare to ask.

        Args:
            path: kubelet's socket.
            deadline_s: How long one answer may take.
            now: Returns monotonic seconds.
            own_pod: Namespace and name of the pod that this process runs in, where they are known: a list without it
                is one of a kubelet that does not know the node's pods yet.
        """
        self._path = path.absolute()
        self._deadline_s = deadline_s
        self._own_pod = own_pod
        self._lock = threading.Lock()
        self._channel: grpc.Channel | None = None
        self._connected_to: SocketId | None = None
        self._now = now
        self._restarted_at = float("-inf")
        self._held_any = False
        self._is_closed = False

    def list(self) -> Allocations:
        """Return who holds what at the moment.

        Raises:
            PodResourcesError: kubelet did not answer, or not with a list. The next call reconnects.
        """
        try:
            answer = self._ask(self._current_channel())
        except PodResourcesError:
            self._disconnect()
            raise
        allocations = parse_allocations(answer)
        if self._own_pod is not None:
            self._find_own_pod(answer, self._own_pod)
        elif not allocations and self._held_any and self._now() - self._restarted_at < STARTING_S:
            raise IncompleteList(
                f"kubelet at {self._path} has just started and lists no pods yet: ask again in a moment"
            )
        self._held_any = bool(allocations)
        return allocations

    def _find_own_pod(self, answer: ListPodResourcesResponse, own_pod: tuple[str, str]) -> None:
        if not any((pod.namespace, pod.name) == own_pod for pod in answer.pod_resources):
            raise IncompleteList(
                f"kubelet at {self._path} does not list this pod, {'/'.join(own_pod)}: it has just started and"
                " knows few of its pods yet, or that is not this pod's name"
            )

    def close(self) -> None:
        """End the connection for good; a call that waits for its answer fails now."""
        with self._lock:
            self._is_closed = True
        self._disconnect()

    def _current_channel(self) -> grpc.Channel:
        """Return the kept channel, or a new one where there is none or a restarted kubelet has replaced its socket."""
        socket_id = find_socket(self._path)
        channel = self._channel
        if channel is None or socket_id != self._connected_to:
            self._disconnect()
            try_connecting(self._path)
            channel = self._connect(socket_id)
        return channel

    def _connect(self, socket_id: SocketId) -> grpc.Channel:
        with self._lock:
            if self._is_closed:
                raise self._was_closed()
            channel = grpc.insecure_channel(f"unix:{quote(os.fsencode(self._path))}", _OPTIONS)
            if self._connected_to not in {None, socket_id}:
                self._restarted_at = self._now()
            self._channel, self._connected_to = channel, socket_id
        return channel

    def _disconnect(self) -> None:
        with self._lock:
            channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()

    def _ask(self, channel: grpc.Channel) -> ListPodResourcesResponse:
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(f"/{SERVICE}/List")
        try:
            answer = call(ListPodResourcesRequest().SerializeToString(), timeout=self._deadline_s)
        except grpc.RpcError as error:
            raise self._explained(error) from None
        except ValueError:  # what gRPC raises for a channel that `close` has just closed
            raise self._was_closed() from None
        try:
            # Not as gRPC's deserializer: that would log a traceback of its own for each bad answer.
            return ListPodResourcesResponse.FromString(answer)
        except DecodeError:
            raise unreadable_answer(self._path, len(answer)) from None

    def _explained(self, error: grpc.RpcError) -> PodResourcesError:
        if self._is_closed:
            return self._was_closed()
        if error.code() is grpc.StatusCode.UNAVAILABLE:
            try:
                find_socket(self._path)
                try_connecting(self._path)
            except PodResourcesError as reason:
                return reason
        return explain_code(self._path, error.code().name, error.details() or "", self._deadline_s)

    def _was_closed(self) -> PodResourcesError:
        return Unreachable(f"the client of {self._path} is closed: create a new one")
