"""The steering interface, as curl would speak to it."""

import json
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from exporter.errors import ConfigError
from exporter.mock.steering.server import MOST_BYTES, Steering
from tests.unit.mock.steering.steered import Steered


@pytest.mark.parametrize("body", ["", "{", "nul", "[" * 100_000, '{"gpus": 1}}', '{"gpus": 1, "gpus": 2}', "\ud800"])
def test_what_is_not_json_is_refused(unmoved: Steered, body: str) -> None:
    status, answer = unmoved.ask("PUT", "/demands/inference", body.encode("utf-8", "surrogatepass"))
    assert status == 400
    assert answer["error"].startswith("the request is not JSON: ")


def test_a_web_page_may_not_steer(steered: Steered) -> None:
    status, answer = steered.ask("POST", "/gpus/0/faults", '{"kind": "lost"}', Origin="http://example.com")
    assert (status, "web pages may not steer" in answer["error"]) == (403, True)
    assert steered.do("GET", "/state")["gpus"][0]["faults"] == []


def test_a_request_without_a_length_or_with_too_much_is_refused_unread(steered: Steered) -> None:
    with socket.create_connection(("127.0.0.1", steered.steering.port), timeout=10) as connection:
        connection.sendall(b"PUT /pods HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 411 ")
    for length in (str(MOST_BYTES + 1), "9" * 5000):
        with socket.create_connection(("127.0.0.1", steered.steering.port), timeout=10) as connection:
            connection.sendall(f"PUT /pods HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode())
            assert connection.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_a_client_that_says_nothing_or_leaves_keeps_nobody_else_waiting(steered: Steered) -> None:
    silent = [socket.create_connection(("127.0.0.1", steered.steering.port), timeout=10) for _ in range(20)]
    silent[0].sendall(b"PUT /pods HTTP/1.1\r\nContent-Length: 100\r\n\r\n{")
    assert steered.busy(0) == [100]
    steered.do("PUT", "/demands/inference", {"gpus": 0.5})
    assert steered.busy(0) == [50]
    for connection in silent:
        connection.close()
    steered.do("GET", "/state")


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_speaks_to_it_as_the_documentation_shows(steered: Steered) -> None:
    text = (Path(__file__).parents[4] / "docs" / "mock.md").read_text(encoding="utf-8")
    section = text.partition("## Steering")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("curl ")]
    assert lines
    for line in lines:
        command = line.replace("127.0.0.1:9401", f"127.0.0.1:{steered.steering.port}")
        answer = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True, timeout=10)
        assert "error" not in json.loads(answer.stdout)


def test_a_port_that_is_taken_is_named(steered: Steered) -> None:
    port = steered.steering.port
    with pytest.raises(ConfigError, match=rf"can't listen on 127\.0\.0\.1:{port}: Address already in use; name a free"):
        Steering(steered.nvml, port, lambda _: None)


def test_nothing_answers_before_the_start_or_after_the_end() -> None:
    made = Steered()
    made.steering.stop()
    with pytest.raises(ConnectionRefusedError):
        made.ask("GET", "/state")
    made = Steered()
    with made.steering:
        made.do("GET", "/state")
    with pytest.raises(ConnectionRefusedError):
        made.ask("GET", "/state")
