"""The demo's load, without a cluster behind it."""

import socket
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from tests.e2e.demo_load import Dial, WrongLoad, served


@pytest.fixture
def turned() -> list[float]:
    """What the load was turned to, in this order."""
    return []


@pytest.fixture
def dial(turned: list[float]) -> Dial:
    return Dial(turned.append)


@pytest.fixture
def url(dial: Dial) -> Iterator[str]:
    """Where curl turns the dial."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with served(dial, listener):
            yield address


def post(url: str, content: str, **headers: str) -> str:
    request = urllib.request.Request(url, content.encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return f"{answer.status} {answer.read().decode()}"
    except urllib.error.HTTPError as error:
        with error:
            return f"{error.code} {error.read().decode()}"


def test_digits_set_fifths_and_signs_change_tenths(dial: Dial, turned: list[float]) -> None:
    for key in "9-+05++":
        dial.press(key)
    assert turned == [1.8, 1.7, 1.8, 0.0, 1.0, 1.1, 1.2]


def test_load_stays_within_what_the_keys_can_reach(dial: Dial, turned: list[float]) -> None:
    dial.press("-")
    dial.set("4")
    dial.press("+")
    assert turned == [0, 4, 4]


def test_other_keys_turn_nothing(dial: Dial, turned: list[float]) -> None:
    for key in "x \n\x1b":
        dial.press(key)
    assert turned == []


@pytest.mark.parametrize("text", ["", "x", "-1", "4.1", "nan", "inf", "1.8 GPUs"])
def test_what_is_no_load_is_refused(dial: Dial, turned: list[float], text: str) -> None:
    with pytest.raises(WrongLoad, match="a number of GPUs from 0 to 4"):
        dial.set(text)
    assert turned == []


def test_curl_turns_the_load_and_reads_it(url: str, turned: list[float]) -> None:
    assert post(url, "1.8") == "200 1.8\n"
    with urllib.request.urlopen(url, timeout=5) as answer:
        assert answer.read() == b"1.8\n"
    assert turned == [1.8]


@pytest.mark.parametrize("content", ["x", "0" * 100])
def test_wrong_request_is_answered_with_a_sentence(url: str, turned: list[float], content: str) -> None:
    assert post(url, content) == "400 a load is a number of GPUs from 0 to 4, as 1.8\n"
    assert turned == []


def test_web_pages_may_not_turn_it(url: str, turned: list[float]) -> None:
    assert post(url, "1.8", Origin="http://example.org").startswith("403 ")
    assert turned == []
