"""Names and passwords of basic authentication, held against bcrypt hashes without holding up the event loop."""

import asyncio
import base64
import binascii
import contextlib
import hashlib
import os
import re
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

HASH = re.compile(rb"\$2[aby]\$(?P<cost>0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}")
"""A bcrypt hash. The last character of the salt carries only two bits."""

MOST_COST = 18
"""A cost of 10 takes 70 ms, and each step doubles it: 18 takes 15 s, 31 takes days."""

_PASSWORD_BYTES = 72  # bcrypt reads only these; the library rejects what Go cuts off
_MOST_RESULTS = 256
_GENTLE = 5

AGAIN_S = 0.5
"""After what time a thread is tried again that could not be started."""

Users = Mapping[bytes, bytes]
"""Hashes by user name."""


class Client(NamedTuple):
    """Who asks to come in: from where, with which Authorization header, and whether it has hung up meanwhile."""

    address: str
    authorization: str
    has_gone: Callable[[], bool]


@dataclass(frozen=True, slots=True)
class _LoginAttempt:
    """A password that waits to be hashed, and who waits for the result."""

    key: bytes
    name: bytes
    password: bytes
    hashed: bytes
    is_known: bool
    client: Client
    then: Callable[[bool], None]


class Passwords:
    """Checks passwords: one hash at a time, so that strangers can use one core at most.

    Results are remembered, right ones apart from wrong ones, which can't push them out. What is remembered is a keyed
    digest of name, password and hash: no password stays in memory, and a new hash makes an old result worthless.
    Addresses take turns, and of one address the names that are given: a check waits for one of each other address, and
    of each other name from its own, however many passwords they guess.
    """

    def __init__(self) -> None:
        self._secret = os.urandom(32)
        self._right: dict[bytes, bool] = {}
        self._wrong: dict[bytes, bool] = {}
        self._queues: dict[str, dict[bytes, deque[_LoginAttempt]]] = {}
        self._added = 0
        self._is_hashing = False

    def check(self, users: Users, client: Client, then: Callable[[bool], None]) -> None:
        """Tell whether a client may come in.

        An unknown name costs what a known one costs; where costs differ, what the dearest one costs.

        Args:
            users: Who may come in.
            client: Who asks.
            then: Is called with the result, on the event loop: at once where it is known already, never where the
                client has gone.
        """
        given = _read_credentials(client.authorization)
        if given is None:
            then(False)  # noqa: FBT003 - a callback's only argument
            return
        name, password = given
        hashed = users.get(name) or _hash_of_nobody(users)
        key = hashlib.blake2b(repr((name, password, hashed)).encode(), key=self._secret, digest_size=32).digest()
        check = _LoginAttempt(key, name, password[:_PASSWORD_BYTES], hashed, name in users, client, then)
        if not self._is_remembered(check):
            self._wait(check)
            self._go_on()

    def _is_remembered(self, check: _LoginAttempt) -> bool:
        """Answer a check whose result is known; False where it is not."""
        result = self._right.get(check.key, self._wrong.get(check.key))
        if result is None:
            return False
        check.then(result)
        return True

    def _wait(self, check: _LoginAttempt) -> None:
        """Put a check into its queue; now and then those go whose clients have gone, or a flood would fill memory."""
        self._queue(check)
        self._added += 1
        if self._added % _MOST_RESULTS == 0:
            waiting = [one for names in self._queues.values() for queue in names.values() for one in queue]
            self._queues = {}
            for one in waiting:
                if not one.client.has_gone():
                    self._queue(one)

    def _queue(self, check: _LoginAttempt) -> None:
        self._queues.setdefault(check.client.address, {}).setdefault(check.name, deque()).append(check)

    def _go_on(self) -> None:
        """Hash the next password that somebody waits for."""
        while self._queues and not self._is_hashing:
            check = self._next()
            if not check.client.has_gone() and not self._is_remembered(check):
                self._is_hashing = True
                self._start(check)

    def _next(self) -> _LoginAttempt:
        """Take the first check of the name and address whose turn it is; both are the last ones from now on."""
        address, names = next(iter(self._queues.items()))
        name, queue = next(iter(names.items()))
        check = queue.popleft()
        del names[name], self._queues[address]
        if queue:
            names[name] = queue
        if names:
            self._queues[address] = names
        return check

    def _start(self, check: _LoginAttempt) -> None:
        loop = asyncio.get_running_loop()  # a daemon, because no end of the program can wait for a hash
        try:
            threading.Thread(target=self._hash, args=(check, loop), name="password", daemon=True).start()
        except RuntimeError:  # at the limit of processes; those whose result is remembered come in meanwhile
            loop.call_later(AGAIN_S, self._start, check)

    def _hash(self, check: _LoginAttempt, loop: asyncio.AbstractEventLoop) -> None:
        import bcrypt  # noqa: PLC0415  (memory that a server without passwords need not spend)

        is_right = False
        try:
            with contextlib.suppress(OSError):  # samplers and scrapes go first
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _GENTLE)
            is_right = bcrypt.checkpw(check.password, check.hashed) and check.is_known
        finally:
            with contextlib.suppress(RuntimeError):  # the server has stopped
                loop.call_soon_threadsafe(self._hashed, check, is_right)

    def _hashed(self, check: _LoginAttempt, is_right: bool) -> None:
        results = self._right if is_right else self._wrong
        if len(results) >= _MOST_RESULTS:
            del results[next(iter(results))]
        results[check.key] = is_right
        self._is_hashing = False
        if not check.client.has_gone():
            check.then(is_right)
        self._go_on()


def _read_credentials(authorization: str) -> tuple[bytes, bytes] | None:
    """Return name and password of a header; None where it has none."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, password = base64.b64decode(encoded, validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return None
    return (name, password) if colon else None


def _hash_of_nobody(users: Users) -> bytes:
    """Return a hash that is no password's, as dear as the dearest."""
    cost = max((match["cost"] for match in map(HASH.fullmatch, users.values()) if match), default=b"10")
    return b"$2b$%b$%b" % (cost, b"." * 53)
