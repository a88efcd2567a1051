"""The load of the demo, as a person sets it: by a key, or by curl from another terminal."""

import math
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MOST_GPUS = 4.0
_STEP_GPUS = 0.1
_LEVELS = {str(digit): digit / 5 for digit in range(10)}
_MOST_BYTES = 32


class WrongLoad(Exception):
    """Nothing changes; the text says what is accepted."""


class Dial:
    """A load between 0 and that of four GPUs, which several threads may turn."""

    def __init__(self, turned: Callable[[float], None]) -> None:
        """Call `turned` with the load in GPUs whenever somebody has set it."""
        self._turned = turned
        self._gpus = 0.0
        self._lock = threading.Lock()

    @property
    def gpus(self) -> float:
        return self._gpus

    def press(self, key: str) -> None:
        """Do what a key means: a digit sets the load to so many fifths of a GPU, + and - change it by a tenth."""
        if key in _LEVELS:
            self._set(lambda _: _LEVELS[key])
        elif key in ("+", "-"):
            step = _STEP_GPUS if key == "+" else -_STEP_GPUS
            self._set(lambda gpus: min(max(round(gpus + step, 3), 0.0), MOST_GPUS))

    def set(self, text: str) -> None:
        """Set it to a number.

        Raises:
            WrongLoad: It is none, or one that is out of reach.
        """
        try:
            gpus = float(text)
        except ValueError:
            gpus = math.nan
        if not 0 <= gpus <= MOST_GPUS:
            raise WrongLoad(f"a load is a number of GPUs from 0 to {MOST_GPUS:g}, as 1.8")
        self._set(lambda _: gpus)

    def _set(self, new: Callable[[float], float]) -> None:
        with self._lock:
            self._gpus = new(self._gpus)
            self._turned(self._gpus)


@contextmanager
def served(dial: Dial, listener: socket.socket) -> Iterator[None]:
    """Let curl turn the dial at a socket that listens, while `with` lasts."""
    server = ThreadingHTTPServer(("", 0), partial(_Handler, dial), bind_and_activate=False)
    server.socket.close()
    server.socket = listener
    thread = threading.Thread(target=server.serve_forever, name="load by curl", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    timeout = 10

    def __init__(self, dial: Dial, *arguments: Any) -> None:
        self._dial = dial
        super().__init__(*arguments)

    def do_GET(self) -> None:
        self._answer(HTTPStatus.OK, f"{self._dial.gpus:g}")

    def do_POST(self) -> None:
        if "Origin" in self.headers:
            self._answer(HTTPStatus.FORBIDDEN, "web pages may not set the load")
            return
        try:
            self._dial.set(self._content())
        except WrongLoad as error:
            self._answer(HTTPStatus.BAD_REQUEST, str(error))
        else:
            self.do_GET()

    def _content(self) -> str:
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit() or int(length) > _MOST_BYTES:
            return ""
        return self.rfile.read(int(length)).decode(errors="replace")

    def _answer(self, status: HTTPStatus, text: str) -> None:
        content = f"{text}\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing: the load that is printed says it."""
