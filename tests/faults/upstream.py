"""The upstream of the harness: stock levels in this process, asked for by key or page by page."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

#: What its connection is called, and the one warehouse that it has.
SLUG, WAREHOUSE = "faulty", "AMS"

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def record_key(sku: str) -> str:
    return f"{WAREHOUSE}/{sku}"


def level(sku: str, number: int, poison: str = "") -> dict[str, Any]:
    """A stock level. `number` is its quantity and its version, so the one tells of the other."""
    return {
        "sku": sku,
        "warehouse": WAREHOUSE,
        "on_hand": str(number),
        "reserved": "0",
        "available": str(number),
        "updated_at": (EPOCH + timedelta(seconds=number)).isoformat(),
        **({"poison": poison} if poison else {}),
    }


class Upstream:
    """`stock` and `counted` hold {sku: number}; a record that is gone is in neither."""

    def __init__(self) -> None:
        self.held: dict[str, dict[str, int]] = {"stock": {}, "counted": {}}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                found = outer.answer(self.path)
                body = json.dumps(found).encode()
                self.send_response_only(404 if found is None else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                """Callers are killed while they ask; that is what this is about."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def answer(self, path: str) -> Any:
        """A record, a page, or None for 404."""
        parts = urlsplit(path)
        stream, _, key = parts.path.strip("/").partition("/")
        held = self.held[stream]
        if key:
            sku = unquote(key).removeprefix(f"{WAREHOUSE}/")
            number = held.get(sku)
            return None if number is None else level(sku, number)
        asked = parse_qs(parts.query)
        start, limit = int(asked["start"][0]), int(asked["limit"][0])
        return [level(sku, held[sku]) for sku in sorted(held)[start : start + limit]]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
