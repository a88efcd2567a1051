"""Steering a mock while it runs: JSON over HTTP, on the loopback address only.

This module owns the socket and HTTP; what can be asked for is in `commands`.
"""

import json
import logging
import sys
import threading
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import Any, Self
from urllib.parse import urlsplit

from exporter.errors import ConfigError
from exporter.mock.calls.nvml import MockNvml
from exporter.mock.machine.pods import MockPod
from exporter.mock.steering.commands import Commands, UnknownCommand
from exporter.strict_json import load_json

log = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
MOST_BYTES = 1 << 20
PATIENCE_S = 10.0
STOP_POLL_S = 0.1


class Steering:
    """The steering interface of a mock: it serves from `start` to `stop`, or within a with block.

    Args:
        mock: What is steered.
        port: Where to listen, on 127.0.0.1; 0 takes a free one.
        on_pods: Is told the pods after each change of them, so that a fake kubelet lists the same.

    Raises:
        ConfigError: The port can't be had.
    """

    def __init__(self, mock: MockNvml, port: int, on_pods: Callable[[tuple[MockPod, ...]], None]) -> None:
        commands = Commands(mock.machine, on_pods)
        try:
            self._server = _Server((LOOPBACK, port), partial(_Handler, commands))
        except OSError as error:
            raise ConfigError(
                f"the mock's steering interface can't listen on {LOOPBACK}:{port}: {error.strerror}; name a free port"
            ) from error
        serve = partial(self._server.serve_forever, STOP_POLL_S)
        self._thread = threading.Thread(target=serve, name="mock-steering", daemon=True)

    @property
    def port(self) -> int:
        """The port that it listens on."""
        port: int = self._server.server_address[1]
        return port

    def start(self) -> Self:
        """Serve, in a thread of its own."""
        self._thread.start()
        log.info("steering the mock at http://%s:%d/state", LOOPBACK, self.port)
        return self

    def stop(self) -> None:
        """Stop serving; a request that is being answered may still be."""
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


class _Server(ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, _request: Any, client_address: Any) -> None:
        error = sys.exception()
        level = logging.DEBUG if isinstance(error, OSError) else logging.ERROR
        log.log(level, "steering: a request of %s could not be answered", client_address, exc_info=error)


class _Refused(Exception):
    """A request that is answered with an error: the status, and the reason in one sentence."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class _Handler(BaseHTTPRequestHandler):
    """Answers one request of a connection, and closes it."""

    protocol_version = "HTTP/1.1"
    timeout = PATIENCE_S

    def __init__(self, commands: Commands, *args: Any) -> None:
        self._commands = commands
        super().__init__(*args)

    def do_GET(self) -> None:
        self._answer({})

    def do_DELETE(self) -> None:
        self._answer({})

    def do_PUT(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self, content: Any = None) -> None:
        self.close_connection = True
        status, answer = HTTPStatus.OK, {}
        try:
            self._refuse_browsers()
            answer = self._commands.obey(
                self.command, urlsplit(self.path).path, self._content() if content is None else content
            )
        except UnknownCommand:
            status = HTTPStatus.NOT_FOUND
            known = ", ".join(self._commands.listed())
            answer = {"error": f"{self.command} {self.path} is not known; the commands are {known}"}
        except ConfigError as error:
            status, answer = HTTPStatus.BAD_REQUEST, {"error": str(error)}
        except _Refused as refused:
            status, answer = refused.status, {"error": str(refused)}
        self._send(status, answer)

    def _refuse_browsers(self) -> None:
        """Refuse what a web page sends: whoever looks at it has not asked for that."""
        if "Origin" in self.headers:
            raise _Refused(HTTPStatus.FORBIDDEN, "the request has the header Origin: web pages may not steer a mock")

    def _content(self) -> Any:
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit():
            raise _Refused(
                HTTPStatus.LENGTH_REQUIRED, "the request has no Content-Length; expected JSON of a known length"
            )
        if len(length) > len(str(MOST_BYTES)) or int(length) > MOST_BYTES:
            raise _Refused(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"the request has {length} bytes; at most {MOST_BYTES} are accepted",
            )
        try:
            return load_json(self.rfile.read(int(length)))
        except ValueError as error:
            raise _Refused(HTTPStatus.BAD_REQUEST, f"the request is not JSON: {error}") from error

    def _send(self, status: HTTPStatus, answer: dict[str, Any]) -> None:
        body = f"{json.dumps(answer, indent=1)}\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, message: str, *args: Any) -> None:
        """Log a request, as http.server words it, where it can be filtered."""
        log.debug(message, *args)
