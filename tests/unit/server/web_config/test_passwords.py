"""Passwords as the server checks them: on an event loop, which they never hold up."""

import asyncio
import base64
import functools
import threading
import weakref
from collections.abc import Callable

import bcrypt
import pytest

from exporter.server.web_config.passwords import HASH, Client, Passwords

CHEAP = 4
COSTLY = 10


@functools.cache
def hashed(password: bytes, cost: int = CHEAP) -> bytes:
    return bcrypt.hashpw(password, bcrypt.gensalt(cost))


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def here() -> bool:
    return False


def asked(passwords: Passwords, users: dict[bytes, bytes], header: str, address: str = "") -> "asyncio.Future[bool]":
    result: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    passwords.check(users, Client(address, header, here), result.set_result)
    return result


def check(users: dict[bytes, bytes], *headers: str) -> list[bool]:
    async def ask() -> list[bool]:
        passwords = Passwords()
        return [await asked(passwords, users, header) for header in headers]

    return asyncio.run(ask())


USERS = {b"ann": hashed(b"secret"), "björn".encode(): hashed(b"gehe:im"), b"bob": hashed(b"")}


def test_right_names_with_right_passwords_come_in() -> None:
    headers = (
        basic("ann", "secret"),
        basic("björn", "gehe:im"),
        basic("bob", ""),
        basic("ann", "secret").replace("B", "b", 1),
    )
    assert check(USERS, *headers, *headers) == [True] * 8


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Basic",
        "Basic ",
        "Basic !",
        "Bearer x",
        "Basic YW5u",
        basic("ann", "Secret"),
        basic("ann", "secret\0"),
        basic("Ann", "secret"),
        basic("", ""),
        basic("nobody", "secret"),
        basic("ann", "secret") + "," + basic("ann", "secret"),
        "Basic \u0663",
    ],
)
def test_everything_else_stays_out(header: str) -> None:
    assert check(USERS, header, header) == [False, False]


def test_password_beyond_72_bytes_counts_as_with_go() -> None:
    users = {b"ann": hashed(b"x" * 72)}
    assert check(users, basic("ann", "x" * 72), basic("ann", "x" * 99), basic("ann", "x" * 71)) == [True, True, False]


def test_new_hash_makes_a_remembered_password_worthless() -> None:
    async def ask() -> list[bool]:
        passwords = Passwords()
        before = await asked(passwords, {b"ann": hashed(b"old")}, basic("ann", "old"))
        after = await asked(passwords, {b"ann": hashed(b"new")}, basic("ann", "old"))
        removed = await asked(passwords, {b"bob": hashed(b"x")}, basic("ann", "old"))
        return [before, after, removed]

    assert asyncio.run(ask()) == [True, False, False]


def test_remembered_password_is_answered_at_once() -> None:
    async def ask() -> bool:
        passwords = Passwords()
        await asked(passwords, USERS, basic("ann", "secret"))
        for guess in range(300):
            await asked(passwords, USERS, basic("ann", f"guess {guess}"))
        return asked(passwords, USERS, basic("ann", "secret")).done()

    assert asyncio.run(ask())


def test_loop_goes_on_while_a_password_is_hashed() -> None:
    async def turns() -> int:
        result = asked(Passwords(), {b"ann": hashed(b"x", COSTLY)}, basic("ann", "wrong"))
        count = 0
        while not result.done():
            await asyncio.sleep(0.001)
            count += 1
        return count

    assert asyncio.run(turns()) > 5


def test_one_address_that_guesses_does_not_keep_another_waiting() -> None:
    async def order() -> list[str]:
        passwords, answered = Passwords(), list[str]()

        def answers(name: str) -> Callable[[bool], None]:
            return lambda _: answered.append(name)

        for guess in range(20):
            client = Client("192.0.2.1", basic("ann", f"{guess}"), here)
            passwords.check(USERS, client, answers("guess"))
        passwords.check(USERS, Client("192.0.2.2", basic("ann", "secret"), here), answers("honest"))
        for guess in range(20):
            await asked(passwords, USERS, basic("ann", f"{guess}"))
        return answered

    assert asyncio.run(order()).index("honest") <= 2


def test_names_that_are_guessed_keep_no_other_name_of_the_same_address_waiting() -> None:
    async def order() -> list[str]:
        passwords, answered = Passwords(), list[str]()

        async def ask(name: str, password: str) -> None:
            await asked(passwords, USERS, basic(name, password), "192.0.2.1")
            answered.append(name)

        await asyncio.gather(*(ask("admin", f"{guess}") for guess in range(20)), ask("ann", "secret"))
        return answered

    assert asyncio.run(order()).index("ann") <= 2


def test_at_a_limit_of_threads_a_password_waits_until_there_is_one_and_a_remembered_one_does_not(
    no_threads: Callable[[], None],
) -> None:
    async def answers() -> list[bool]:
        passwords = Passwords()
        await asked(passwords, USERS, basic("bob", ""))
        no_threads()
        waiting = [asked(passwords, USERS, basic("ann", word)) for word in ("secret", "wrong")]
        remembered = asked(passwords, USERS, basic("bob", "")).done()
        await asyncio.sleep(0)
        assert not any(one.done() for one in waiting)
        threading.stack_size(0)
        return [remembered, *[await one for one in waiting]]

    assert asyncio.run(answers()) == [True, True, False]


def test_client_that_has_gone_is_neither_hashed_for_nor_told() -> None:
    async def told() -> list[str]:
        passwords, answered = Passwords(), list[str]()
        users = {b"ann": hashed(b"x", COSTLY)}
        has_gone = False
        passwords.check(users, Client("", basic("ann", "first"), lambda: has_gone), lambda _: answered.append("first"))
        for guess in range(1000):
            passwords.check(
                users, Client("", basic("ann", f"{guess}"), lambda: True), lambda _: answered.append("gone")
            )
        has_gone = True
        await asked(passwords, users, basic("ann", "x"))
        return answered

    assert asyncio.run(told()) == []


def test_clients_that_have_gone_are_forgotten_while_a_hash_takes_long() -> None:
    class Asking:
        def has_gone(self) -> bool:
            return True

        def told(self, _is_right: bool) -> None:
            raise AssertionError

    async def remembered() -> int:
        passwords, users = Passwords(), {b"ann": hashed(b"x", COSTLY)}
        first = asked(passwords, users, basic("ann", "first"))
        clients = [Asking() for _ in range(2000)]
        for guess, one in enumerate(clients):
            passwords.check(users, Client(f"{guess % 3}", basic("ann", f"{guess}"), one.has_gone), one.told)
        living = [weakref.ref(one) for one in clients]
        del clients, one
        counted = sum(one() is not None for one in living)
        await first
        return counted

    assert asyncio.run(remembered()) < 600


def test_unknown_name_is_hashed_for_as_a_known_one_is() -> None:
    async def ask() -> list[bool]:
        found = []
        for name in ("ann", "nobody"):
            result = asked(Passwords(), USERS, basic(name, "wrong"))
            found += [result.done(), await result]
        return found

    assert asyncio.run(ask()) == [False, False] * 2


def test_hashes_of_htpasswd_go_and_php_are_known() -> None:
    for prefix in (b"$2a", b"$2b", b"$2y"):
        assert HASH.fullmatch(prefix + hashed(b"x")[3:])
    for text in (b"$2x" + hashed(b"x")[3:], b"$1$x$y", b"{SHA}x", hashed(b"x") + b"\n", b""):
        assert not HASH.fullmatch(text)
