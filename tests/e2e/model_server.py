"""A model server as autoscalers see one: vLLM's metrics of a queue that is set from outside. Runs in a pod.

`PUT /requests` with `{"waiting": 30}` says how many requests wait. With --gateway it is what stands before a model
server instead, and counts the requests that it holds back, under a name of its own.
"""

import json
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT = 8000
_AT_ONCE = 8  # that many it computes at the same time; the others wait


class _State:
    def __init__(self) -> None:
        self.waiting = 0.0
        self.lock = threading.Lock()


def vllm_page(waiting: float) -> str:
    """Return vLLM's metrics that say how busy it is, under its own names."""
    labels = '{engine="0",model_name="test-model"}'
    running = _AT_ONCE if waiting else 0
    gauges = {
        "vllm:num_requests_running": running,
        "vllm:num_requests_waiting": waiting,
        "vllm:kv_cache_usage_perc": running / _AT_ONCE,
    }
    return "".join(f"# TYPE {name} gauge\n{name}{labels} {float(value)}\n" for name, value in gauges.items())


def gateway_page(waiting: float) -> str:
    """Return the metrics of what stands before a model server that may not be there."""
    return f"# TYPE gateway_requests_in_flight gauge\ngateway_requests_in_flight {waiting}\n"


def serve(*, is_gateway: bool) -> None:
    """Serve for ever."""
    state = _State()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with state.lock:
                page = (gateway_page if is_gateway else vllm_page)(state.waiting)
            self._answer(page)

        def do_PUT(self) -> None:
            content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with state.lock:
                state.waiting = float(content["waiting"])
            self._answer("")

        def _answer(self, text: str) -> None:
            body = text.encode()
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - its name there
            """Say nothing of each scrape."""

    ThreadingHTTPServer(("", PORT), Handler).serve_forever()


if __name__ == "__main__":
    serve(is_gateway="--gateway" in sys.argv)
