"""Accepts connections; when file descriptors run out, it pauses, and the log has one line."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable

from exporter.server.newcomers import Newcomer

_log = logging.getLogger(__name__)

PAUSE_S = 0.5
"""How long to wait before accepting again; until then clients wait in the kernel's queue."""

QUIET_S = 60.0
"""How long accepting must have worked before the next failure is logged."""

_AT_ONCE = 128  # then others have their turn


class Acceptor:
    """Accepts on the running event loop until `stop`."""

    def __init__(
        self, sock: socket.socket, accepted: Callable[[list[Newcomer]], None], make_room: Callable[[], None]
    ) -> None:
        """Begin.

        Args:
            sock: Listens, and does not block.
            accepted: Is given the connections that have come.
            make_room: Is called where no connection can be accepted, and closes those that can be spared.
        """
        self._sock = sock
        self._accepted = accepted
        self._make_room = make_room
        self._loop = asyncio.get_running_loop()
        self._trouble_at = float("-inf")
        self._pause: asyncio.TimerHandle | None = None
        self._resume()

    def stop(self) -> None:
        """Stop accepting."""
        self._loop.remove_reader(self._sock)
        if self._pause is not None:
            self._pause.cancel()

    def _resume(self) -> None:
        self._pause = None
        self._loop.add_reader(self._sock, self._accept)

    def _accept(self) -> None:
        accepted = []
        try:
            for _ in range(_AT_ONCE):
                with contextlib.suppress(ConnectionAbortedError):
                    accepted.append(Newcomer(*self._sock.accept()))
        except BlockingIOError:
            pass
        except OSError as error:
            self._wait(error)
        self._accepted(accepted)

    def _wait(self, error: OSError) -> None:
        """Let clients wait for a moment; those that are connected are served meanwhile."""
        now = self._loop.time()
        if now - self._trouble_at >= QUIET_S:
            _log.error("can't accept connections: %s; new clients wait (check ulimit -n, LimitNOFILE=)", error.strerror)
        self._trouble_at = now
        self._make_room()
        self._loop.remove_reader(self._sock)
        self._pause = self._loop.call_later(PAUSE_S, self._resume)
