"""The server as the rest of the program sees it: listen, run until stopped, and what it counted meanwhile."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Iterable

from exporter.server.connections import Limits
from exporter.server.endpoints import Endpoints, Handlers, ScrapeCounts
from exporter.server.listening import listening_socket
from exporter.server.protocol import HttpListener
from exporter.server.web_config.document import WebConfig


class MetricsServer:
    """Serves the exporter's pages over HTTP, on the thread that calls `run`."""

    def __init__(self, sources: Handlers, limits: Limits, web: Callable[[], WebConfig] = WebConfig) -> None:
        """Prepare to serve.

        Args:
            sources: Where answers come from.
            limits: What clients may take.
            web: Returns the web configuration in force; asked for each connection and each request.
        """
        self._endpoints = Endpoints(sources)
        self._limits = limits
        self._web = web
        self._sockets: list[socket.socket] = []
        self._is_stopped = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._woken = asyncio.Event()

    @property
    def counts(self) -> ScrapeCounts:
        """Scrapes since the start by result; may be read from any thread."""
        return self._endpoints.counts

    def listen(self, host: str | None, port: int) -> int:
        """Open a port and return it; the system chooses one for 0. Clients wait in its queue until `run`.

        Raises:
            ConfigError: It can't be opened; see `listening_socket`.
        """
        sock = listening_socket(host, port)
        self.adopt([sock])
        bound_port: int = sock.getsockname()[1]
        return bound_port

    def adopt(self, sockets: Iterable[socket.socket]) -> None:
        """Serve on sockets that listen already, such as systemd's, and close them in the end."""
        self._sockets.extend(sockets)

    def run(self) -> None:
        """Serve until `stop`; returns within half a second of it, with every socket closed."""
        # tornado reports malformed requests there, and as warnings broken handshakes: a log for any stranger to fill.
        logging.getLogger("tornado.general").setLevel(logging.ERROR)
        asyncio.run(self._serve())

    def stop(self) -> None:
        """Make `run` return; from any thread or a signal handler, before it, during it or after it."""
        self._is_stopped = True
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop closed in between
                loop.call_soon_threadsafe(self._woken.set)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        listener = HttpListener(self._endpoints, self._limits, self._web)
        listener.add_sockets(self._sockets)
        try:
            if not self._is_stopped:  # looked at after the loop is known: a stop between the two isn't lost
                await self._woken.wait()
        finally:
            self._loop = None
            await listener.shut_down()
