"""A fake kubelet: a real gRPC server on a Unix socket, whose pods and faults can be changed while it serves.

What a healthy kubelet answers is in `fake_pods`; this module owns the socket, the server and its faults.
"""

import os
import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import grpc
from google.protobuf.message import Message

from podresources.fake_pods import Pod, allocatable_answer, list_answer, pod_answer
from podresources.time_source import TimeSource
from podresources.v1 import SERVICE
from podresources.v1 import podresources_pb2 as v1

_WORKERS = 4
_STOP_S = 1.0

_MakeAnswer = Callable[[Any, grpc.ServicerContext], Message]


@dataclass(frozen=True, slots=True)
class Hang:
    """Answer nothing until the fault ends; the calls that wait are answered then."""


@dataclass(frozen=True, slots=True)
class Slow:
    """Answer each call so many seconds late."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answer with a gRPC status, named as in `grpc.StatusCode`."""

    code: str
    details: str = ""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """Refuse what goes beyond a rate, with kubelet's own figures and words."""

    per_second: float = 100
    burst: int = 10


@dataclass(frozen=True, slots=True)
class AnswerBytes:
    """Answer with these bytes, whatever was asked."""

    data: bytes


@dataclass(frozen=True, slots=True)
class CutOff:
    """Answer without the last byte."""


KubeletFault = Hang | Slow | Refuse | RateLimit | AnswerBytes | CutOff


class FakeKubelet:
    """A PodResources server; as a context manager it serves within the block and leaves no socket behind.

    The caller must stop it: a process does not end while a call hangs in it.

    Pods and faults may be set at any time, from any thread, and outlast a restart.
    """

    def __init__(
        self,
        path: Path,
        pods: Iterable[Pod] = (),
        allocatable: Mapping[str, Sequence[str]] | None = None,
        clock: TimeSource = time,
        seed: int = 0,
    ) -> None:
        self._path = path.absolute()
        self._pods = tuple(pods)
        self._allocatable = allocatable or {}
        self._clock = clock
        self._order = random.Random(seed)  # noqa: S311  # the order of a list, no secret
        self._fault: KubeletFault | None = None
        self._limit = _Limit(RateLimit(), clock.monotonic())
        self._change = threading.Condition()
        self._changes = 0
        self._running: tuple[grpc.Server, ThreadPoolExecutor] | None = None

    def start(self) -> Self:
        """Serve, on a new socket that takes the place of one that may be at the path.

        Raises:
            OSError: Nothing can listen at the path, or something that is not a socket is there.
        """
        if self._path.exists() and not self._path.is_socket():
            raise OSError(f"the fake kubelet can't listen on {self._path}: there is something other than a socket")
        first = self._path.with_name(f".{self._path.name}")  # renamed, so that gRPC does not remove it in the end
        workers = ThreadPoolExecutor(_WORKERS, "fake-kubelet")
        server = grpc.server(workers, [grpc.method_handlers_generic_handler(SERVICE, self._methods())])
        try:
            server.add_insecure_port(f"unix:{quote(os.fsencode(first))}")
        except RuntimeError:
            workers.shutdown()
            raise OSError(
                f"the fake kubelet can't listen on {self._path}: give a path of at most 106 bytes in an existing,"
                " writable directory"
            ) from None
        server.start()
        self._running = server, workers
        first.rename(self._path)
        return self

    def stop(self) -> None:
        """Stop serving; calls that wait fail, and as with the real kubelet the socket's file stays behind."""
        if self._running is None:
            return
        server, workers = self._running
        self._running = None
        self._end_waiting()
        server.stop(_STOP_S).wait()  # without grace, gRPC's C part prints a line about it on the client's side
        workers.shutdown()

    def restart(self) -> None:
        """Stop, and serve on a new socket at the same path."""
        self.stop()
        self.start()

    def set_pods(self, pods: Iterable[Pod]) -> None:
        """Let every answer from now on be about these pods."""
        self._pods = tuple(pods)

    def set_fault(self, fault: KubeletFault | None) -> None:
        """Behave like this from now on; None is healthy. Calls that wait are answered now."""
        if isinstance(fault, RateLimit):
            self._limit = _Limit(fault, self._clock.monotonic())
        with self._change:
            self._fault = fault
        self._end_waiting()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._path.unlink(missing_ok=True)

    def _methods(self) -> "dict[str, grpc.RpcMethodHandler[Any, bytes]]":
        return {
            "List": self._method(self._list, v1.ListPodResourcesRequest),
            "GetAllocatableResources": self._method(self._get_allocatable, v1.AllocatableResourcesRequest),
            "Get": self._method(self._get, v1.GetPodResourcesRequest),
        }

    def _method(self, make: _MakeAnswer, request: type[Message]) -> "grpc.RpcMethodHandler[Any, bytes]":
        """Return a handler that subjects what `make` answers to the current fault."""

        def answer(request: Any, context: grpc.ServicerContext) -> bytes:
            with self._change:
                fault, changes = self._fault, self._changes
            match fault:
                case AnswerBytes(data):
                    return data
                case Refuse(code, details):
                    context.abort(grpc.StatusCode[code], details)
                case RateLimit() if not self._limit.allows(self._clock.monotonic()):
                    context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "rejected by rate limit")
                case Hang():
                    self._wait_for_change(context, changes, timeout_s=None)
                case Slow(seconds):
                    self._wait_for_change(context, changes, timeout_s=seconds)
            healthy = make(request, context).SerializeToString()
            return healthy[:-1] if isinstance(fault, CutOff) else healthy

        return grpc.unary_unary_rpc_method_handler(answer, request_deserializer=request.FromString)

    def _list(self, _: v1.ListPodResourcesRequest, __: grpc.ServicerContext) -> Message:
        return list_answer(self._pods, self._order)

    def _get_allocatable(self, _: v1.AllocatableResourcesRequest, __: grpc.ServicerContext) -> Message:
        return allocatable_answer(self._allocatable, self._order)

    def _get(self, request: v1.GetPodResourcesRequest, context: grpc.ServicerContext) -> Message:
        wanted = (request.pod_namespace, request.pod_name)
        for pod in self._pods:
            if (pod.namespace, pod.name) == wanted:
                return v1.GetPodResourcesResponse(pod_resources=pod_answer(pod, self._order))
        return context.abort(grpc.StatusCode.UNKNOWN, f"pod {wanted[1]} in namespace {wanted[0]} not found")

    def _wait_for_change(self, context: grpc.ServicerContext, changes: int, timeout_s: float | None) -> None:
        """Wait until the time is over, the fault changes, or the server stops."""
        with self._change:
            self._change.wait_for(lambda: self._changes != changes or self._running is None, timeout_s)
        if self._running is None:
            context.abort(grpc.StatusCode.UNAVAILABLE, "the fake kubelet stops")

    def _end_waiting(self) -> None:
        with self._change:
            self._changes += 1
            self._change.notify_all()


class _Limit:
    """A token bucket."""

    def __init__(self, limit: RateLimit, now: float) -> None:
        self._limit = limit
        self._tokens = float(limit.burst)
        self._filled_at = now
        self._lock = threading.Lock()

    def allows(self, now: float) -> bool:
        """Take a token, if there is one."""
        with self._lock:
            gained = (now - self._filled_at) * self._limit.per_second
            self._tokens = min(self._tokens + gained, float(self._limit.burst))
            self._filled_at = now
            if self._tokens < 1:
                return False
            self._tokens -= 1
            return True
