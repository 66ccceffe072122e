"""Endpoints of subscribers: real HTTP, with answers as a test wants them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Endpoint:
    """`taken` are the (headers, body) of every request, oldest first; `paths` their addresses.

    Answers with `status`, `headers` and after `seconds`, each of which a test may set.
    """

    def __init__(self) -> None:
        self.taken: list[tuple[dict[str, str], bytes]] = []
        self.paths: list[str] = []
        self.status, self.headers, self.seconds = 200, dict[str, str](), 0.0
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                endpoint.paths.append(self.path)
                endpoint.taken.append(({k.lower(): v for k, v in self.headers.items()}, body))
                time.sleep(endpoint.seconds)
                self.send_response(endpoint.status)
                for name, value in {"Content-Length": "0", **endpoint.headers}.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/changes"


@contextmanager
def listening() -> Iterator[Endpoint]:
    endpoint = Endpoint()
    threading.Thread(target=endpoint.server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield endpoint
    finally:
        endpoint.server.shutdown()
        endpoint.server.server_close()
