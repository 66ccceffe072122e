"""A sandbox behind a real port, and a receiver for the webhooks that it sends."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import requests

from connectors.sandbox.server import Sandbox, SandboxServer


@contextmanager
def running(products: int = 60, state: Path | None = None) -> Iterator[SandboxServer]:
    server = SandboxServer(Sandbox(products, seed=1, state_dir=state))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def set_fault(url: str, system: str, **fault: Any) -> None:
    requests.put(f"{url}/_control/faults/{system}", json=fault, timeout=5).raise_for_status()


class Receiver:
    """What arrived: (headers, raw body), oldest first."""

    def __init__(self) -> None:
        self._arrived: queue.Queue[tuple[Message, bytes]] = queue.Queue()
        arrived = self._arrived

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                arrived.put((self.headers, body))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"

    @contextmanager
    def serving(self) -> Iterator[None]:
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield
        finally:
            self.server.shutdown()
            self.server.server_close()

    def next(self) -> tuple[Message, bytes]:
        """Waits for a delivery; raises `queue.Empty` when none comes."""
        return self._arrived.get(timeout=10)


@contextmanager
def receiving(sandbox_url: str, system: str) -> Iterator[Receiver]:
    """A receiver that is subscribed to a system of the sandbox."""
    receiver = Receiver()
    target = f"{sandbox_url}/_control/subscriptions/{system}"
    with receiver.serving():
        requests.put(target, json={"url": receiver.url}, timeout=5).raise_for_status()
        try:
            yield receiver
        finally:
            requests.delete(target, timeout=5)
