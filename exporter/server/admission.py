"""Who is answered: the rate limit, the names in a client's certificate, and its password. No path is exempt."""

import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from exporter.server.endpoints import Response, short_answer
from exporter.server.web_config.document import WebConfig
from exporter.server.web_config.passwords import Client, Passwords
from exporter.server.web_config.rate_limit import TokenBucket
from exporter.server.web_config.tls import names_of

_UNAUTHORIZED = short_answer(HTTPStatus.UNAUTHORIZED, "Unauthorized")._replace(
    headers=(("WWW-Authenticate", 'Basic realm="metrics", charset="UTF-8"'),)
)
_TOO_MANY = short_answer(HTTPStatus.TOO_MANY_REQUESTS, "Too Many Requests")
_WRONG_NAME = short_answer(HTTPStatus.FORBIDDEN, "The client's certificate has no allowed name.")


class Admission:
    """Decides on each request, by the configuration that is in force at that moment."""

    def __init__(self, web: Callable[[], WebConfig]) -> None:
        self._web = web
        self._passwords = Passwords()
        self._bucket: TokenBucket | None = None

    def decide(self, client: Client, certificate: Callable[[], Any], then: Callable[[Response | None], None]) -> None:
        """Decide on a request.

        Args:
            client: Who asks.
            certificate: Returns its certificate as Python's ssl parses it, empty where it gave none.
            then: Is called with None for a request that is answered, or with the refusal; at once, but for a password
                that must be hashed.
        """
        web = self._web()
        if not self._is_within_rate(web):
            then(_TOO_MANY)
        elif web.client_names is not None and not web.client_names & names_of(certificate()):
            then(_WRONG_NAME)
        elif web.users:
            self._passwords.check(web.users, client, lambda is_right: then(None if is_right else _UNAUTHORIZED))
        else:
            then(None)

    def headers(self) -> tuple[tuple[str, str], ...]:
        """Return the headers that every answer is to have."""
        return self._web().headers

    def _is_within_rate(self, web: WebConfig) -> bool:
        if web.rate_limit is None:
            self._bucket = None
        elif self._bucket is None or self._bucket.limit != web.rate_limit:
            self._bucket = TokenBucket(web.rate_limit, time.monotonic)
        return self._bucket is None or self._bucket.takes()
