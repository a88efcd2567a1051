"""Connections, in the clear and with TLS, that say why they end where tornado would close them without a word."""

import contextlib
import socket
import ssl
from typing import Any

from tornado.iostream import IOStream, SSLIOStream, UnsatisfiableReadError

_DRAINED_BYTES = 64 * 1024

_NO_TLS = ("HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "WRONG_VERSION_NUMBER")
"""OpenSSL's reason when a client's first bytes are not TLS."""


def _last_words(status: str, sentence: str) -> bytes:
    body = f"{sentence}\n"
    return (
        f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


_TOO_LARGE = _last_words("431 Request Header Fields Too Large", "The request headers are too large.")
_IN_THE_CLEAR = _last_words("400 Bad Request", "Client sent an HTTP request to an HTTPS server.")


class Stream(IOStream):
    """A connection. Headers that are too large are answered before it closes.

    Attributes:
        reads_headers: Whether what is read now are a request's headers.
    """

    reads_headers = True

    def close(self, exc_info: Any = False) -> None:  # noqa: FBT002 - tornado's own
        """Close the connection."""
        if isinstance(exc_info, UnsatisfiableReadError) and self.reads_headers and not self.writing():
            _say(self.socket, _TOO_LARGE)
        super().close(exc_info)

    def certificate(self) -> Any:
        """Return the client's certificate as Python's ssl parses it, None where it gave none."""


class TlsStream(SSLIOStream, Stream):
    """A connection with TLS. HTTP without it is answered, too."""

    def close(self, exc_info: Any = False) -> None:  # noqa: FBT002 - tornado's own
        """Close the connection."""
        if isinstance(exc_info, ssl.SSLError) and exc_info.reason in _NO_TLS:
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_RD)  # from now on Python's ssl sends in the clear
            _say(self.socket, _IN_THE_CLEAR)
        super().close(exc_info)

    def certificate(self) -> Any:
        """Return the client's certificate as Python's ssl parses it, None where it gave none."""
        return self.socket.getpeercert()


def _say(sock: socket.socket, answer: bytes) -> None:
    with contextlib.suppress(OSError):
        sock.send(answer)
        sock.shutdown(socket.SHUT_WR)
        sock.recv(_DRAINED_BYTES)  # what is unread at the close takes the answer along
