"""What the tests' HTTP servers have in common: they answer JSON and keep a test's output clean."""

import json
from http.server import BaseHTTPRequestHandler


class JsonHandler(BaseHTTPRequestHandler):
    """Answers requests with JSON."""

    protocol_version = "HTTP/1.1"

    def answer(self, answer: object, status: int = 200) -> None:
        """Answer with an object."""
        self.send(json.dumps(answer).encode(), status)

    def send(self, body: bytes, status: int = 200) -> None:
        """Answer with what may be no JSON."""
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        """Say nothing."""
