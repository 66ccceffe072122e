"""A fast upstream: N listings of about 1 KB in pages of 1,000, rendered once at the start.

GET /listings?page=1&v=0     v=1: one record in a hundred differs
"""

from __future__ import annotations

import json
import random
import sys
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

PAGE = 1000
WORDS = [
    "ridge",
    "harbour",
    "linen",
    "cedar",
    "granite",
    "lantern",
    "meadow",
    "copper",
    "willow",
    "anchor",
    "slate",
    "ember",
    "fjord",
    "maple",
    "saddle",
    "canvas",
    "beacon",
    "timber",
    "orchard",
    "pebble",
]
START = datetime(2025, 1, 1, tzinfo=UTC)


def listing(chance: random.Random, number: int) -> dict[str, Any]:
    def words(length: int) -> str:
        text = ""
        while len(text) < length:
            text += WORDS[int(chance.random() * len(WORDS))] + " "
        return text.strip()

    return {
        "id": number,
        "sku": f"LST-{number:07d}",
        "title": words(40),
        "description": words(420),
        "brand": WORDS[number % len(WORDS)],
        "status": "active" if number % 20 else "paused",
        "price": f"{3 + chance.random() * 400:.2f}",
        "currency": "EUR",
        "quantity": int(chance.random() * 500),
        "weight_kg": round(chance.random() * 20, 3),
        "ean": str(4_000_000_000_000 + number * 7),
        "url": f"https://shop.example/listing/{number}",
        "seller": f"seller-{number % 400}",
        "attributes": {
            "color": WORDS[number % 7],
            "material": WORDS[number * 3 % 11],
            "size": f"{number % 50}x{number % 30}",
            "origin": "NL",
        },
        "images": [f"https://img.example/{number}/{n}.jpg" for n in (1, 2, 3)],
        "shipping": {"class": "std", "days": number % 5 + 1, "cost": "4.95"},
        "updated_at": (START + timedelta(seconds=int(chance.random() * 2e7))).isoformat(),
    }


def changed(record: dict[str, Any]) -> dict[str, Any]:
    later = datetime.fromisoformat(record["updated_at"]) + timedelta(days=400)
    return {
        **record,
        "price": f"{float(record['price']) + 1:.2f}",
        "updated_at": later.isoformat(),
    }


def render(count: int, port: int) -> list[list[bytes]]:
    """The pages of both versions."""
    chance, versions = random.Random(42), [[], []]  # type: tuple[random.Random, list[list[bytes]]]
    last = -(-count // PAGE)
    for page in range(last):
        numbers = range(page * PAGE + 1, min(count, (page + 1) * PAGE) + 1)
        records = [listing(chance, number) for number in numbers]
        others = [changed(r) if r["id"] % 100 == 7 else r for r in records]
        for version, data in enumerate((records, others)):
            following = f"http://127.0.0.1:{port}/listings?page={page + 2}&v={version}"
            body = {"data": data, "next": following if page + 1 < last else None}
            versions[version].append(json.dumps(body, separators=(",", ":")).encode())
    return versions


def main() -> None:
    count = int(sys.argv[1])
    versions: list[list[bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            body = versions[int(query["v"][0])][int(query["page"][0]) - 1]
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            self.wfile.flush()

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    versions += render(count, server.server_port)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
