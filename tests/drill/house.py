"""The house of the drill: that of the fault tests, with two systems more, readers and listeners.

Time is accelerated: every stream is read so many times more often than in operation. Objectives stay as
they are, and so does how often detectors look.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from typing import Any
from urllib.request import Request, urlopen

from tests.drill.apps import DEPLOYED
from tests.faults import points
from tests.faults.house import SECRET, House
from tests.faults.upstream import WAREHOUSE, Upstream
from tests.processes import until

FASTER = 20
#: Of breakers: three times shorter than usual, with ten times shorter time-outs.
WINDOW_SECONDS = 20
PRODUCTS = 60
LEVELS = 300
SHELF, TWIN = "shelf", "twin"
STOREFRONT, MIRROR = "storefront", "mirror"


class Shelves(Upstream):
    """Two systems at one port: `/stock` is the shelf's, `/twin/stock` the twin's, which counts others.

    Unlike those of the fault tests they say when a level really changed: how late we are is judged here.
    """

    def __init__(self) -> None:
        super().__init__()
        self.skew = timedelta()
        self._told: dict[tuple[str, str], tuple[str, datetime]] = {}
        self.held = {
            "stock": {f"SHELF-{n}": 100 + n for n in range(LEVELS)},
            "twin": {f"SHELF-{n}": 5000 + n for n in range(LEVELS)},
        }

    def answer(self, path: str) -> Any:
        """See `Upstream`; the shelf's clock may be wrong."""
        found = super().answer(path.replace("/twin/stock", "/twin", 1))
        whose = TWIN if path.startswith("/twin/") else SHELF
        skew = self.skew if whose == SHELF else timedelta()
        for one in found if isinstance(found, list) else [found] if found else []:
            changed = self._changed_at((whose, one["sku"]), one["on_hand"])
            one["updated_at"] = (changed + skew).isoformat()
        return found

    def _changed_at(self, place: tuple[str, str], number: str) -> datetime:
        """When it was told first that it is so many, which is the next reading after the edit."""
        if place not in self._told or self._told[place][0] != number:
            self._told[place] = (number, datetime.now(UTC))
        return self._told[place][1]


class Listener:
    """An endpoint: of a subscriber, or of nobody. `status` is what it answers; None: nothing, ever."""

    def __init__(self) -> None:
        self.status: int | None = 200
        self._ended = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                self._answer()

            def do_GET(self) -> None:
                self._answer()

            def _answer(self) -> None:
                if outer.status is None:
                    outer._ended.wait(60)
                    return
                self.send_response_only(outer.status)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                """Callers give up; that is what this is about."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()


class DrillHouse(House):
    """See the module. Started, this process sees its database as one of its own processes does."""

    settings = "tests.drill.settings"

    def __init__(self, directory: Path | None = None) -> None:
        super().__init__(PRODUCTS, directory)
        self.upstream.close()
        self.upstream = self.shelves = Shelves()
        self.endpoints = {STOREFRONT: Listener(), MIRROR: Listener(), "nobody": Listener()}
        self.deployed = self.directory / "deployed"
        self.deployed.mkdir()
        self.deploy("available")
        self.key = ""

    def close(self) -> None:
        for endpoint in self.endpoints.values():
            endpoint.close()
        super().close()

    @property
    def environment(self) -> dict[str, str]:
        """See `House`."""
        return super().environment | {DEPLOYED: str(self.deployed)}

    def deploy(self, member: str) -> None:
        """Put a version of the connector where the processes load it from, when they start."""
        code = (Path(__file__).parent / "shelf.py").read_text()
        changed = code.replace('MAPPED = "available"', f'MAPPED = "{member}"')
        (self.deployed / "shelf.py").write_text(changed)
        shutil.rmtree(self.deployed / "__pycache__", ignore_errors=True)

    def furnish(self) -> None:
        """Connect what is the drill's, and make time go faster."""
        os.environ.update(self.environment)
        os.environ.pop(points.VARIABLE, None)
        import django

        django.setup()
        from catalog.ownership import OwnershipRule
        from connectors.models import Connection, Stream, Subscriber
        from connectors.runtime.connect import connect
        from hub.auth.keys import issue_key

        secret = {"webhook_secret": SECRET}
        connect(SHELF, SHELF, self.shelves.url, secret)
        connect(TWIN, SHELF, f"{self.shelves.url}/twin", secret)
        OwnershipRule.objects.filter(entity="stock").update(fallbacks=["sap", SHELF, TWIN])
        for slug, kind in ((STOREFRONT, "nextjs"), (MIRROR, "webhook")):
            row = Subscriber(slug=slug, kind=kind, url=self.endpoints[slug].url, timeout_seconds=2)
            row.new_secret()
            row.save()
        self.key = issue_key("storefront")
        for stream in Stream.objects.all():
            faster = max(2, stream.interval_seconds // FASTER)
            Stream.objects.filter(pk=stream.pk).update(interval_seconds=faster)
        # Poison is given up soon.
        Stream.objects.filter(connection__slug=SHELF).update(retry_seconds=[0.5, 1])
        Connection.objects.update(
            breaker_window_seconds=WINDOW_SECONDS, breaker_cooldown_seconds=5, timeout_seconds=3
        )
        unread = Stream.objects.filter(checkpoint__full_refresh_at=None)
        until("first reading of every stream", lambda: not unread.exists(), 180, 0.5)

    # --- the sandbox --------------------------------------------------------------------------------

    def control(self, address: str, method: str = "GET", body: Any = None) -> Any:
        """The sandbox's control API."""
        data = None if body is None else json.dumps(body).encode()
        request = Request(  # noqa: S310 (our own)
            f"{self.sandbox}/_control/{address}", data, {"Content-Type": "application/json"},
            method=method,
        )  # fmt: skip
        with urlopen(request, timeout=20) as answer:  # noqa: S310
            text = answer.read()
        return json.loads(text) if text else None

    def keys(self, system: str, collection: str) -> list[str]:
        """The first records of a collection."""
        listed = self.control("state")["systems"][system]["collections"]
        return list(listed[collection]["keys"])

    # --- traffic ------------------------------------------------------------------------------------

    @contextmanager
    def traffic(self, seed: int) -> Iterator[None]:
        """Somebody changes prices, stock and texts, and a frontend reads, until the end."""
        ended = threading.Event()
        threads = [
            threading.Thread(target=self._keep, args=(work, pause, ended), daemon=True)
            for work, pause in ((_Editor(self, seed).edit, 0.7), (self._read, 0.4))
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            ended.set()
            for thread in threads:
                thread.join(30)

    def _keep(self, work: Any, pause: float, ended: threading.Event) -> None:
        while not ended.wait(pause):
            # The sandbox, and the hub, are broken on purpose now and then.
            with suppress(OSError, ValueError):
                work()

    def _read(self) -> None:
        for path in ("products?first=5", "stock?first=5"):
            request = Request(  # noqa: S310 (our own)
                f"{self.url}/api/v1/{path}", headers={"Authorization": f"Bearer {self.key}"}
            )
            with urlopen(request, timeout=10) as answer:  # noqa: S310
                answer.read()

    def restart_workers(self) -> None:
        """As a deploy does: an orderly end, and the launcher starts them anew."""
        from tests.faults.faults import stop_workers

        stop_workers(self)
        until("new workers", lambda: self.pid("workers") and self.qcluster(), 90)


class _Editor:
    """A few changes a second, of every kind that people make; by a seed."""

    def __init__(self, house: DrillHouse, seed: int) -> None:
        self._house, self._random = house, Random(seed)
        self._skus = [key.partition("/")[2] for key in house.keys("wms", "stock")]
        self._models = house.keys("akeneo", "product_models")

    def edit(self) -> None:
        number, sku = self._random.randrange(1, 500), self._random.choice(self._skus)
        edits: list[tuple[str, Mapping[str, Any]]] = [
            ("stock", {"sku": sku, "warehouse": "AMS", "on_hand": number}),
            ("price", {"sku": sku, "amount": f"{number}.90"}),
            (
                "text",
                {
                    "code": self._random.choice(self._models),
                    "text": f"Text number {number}",
                    "attribute": "description",
                },
            ),
            ("touch", {"system": "salesforce", "collection": "Account", "count": 3}),
        ]
        what, said = edits[self._random.randrange(len(edits))]
        self._house.control(what, "POST", said)
        level = f"SHELF-{self._random.randrange(5)}"
        if self._house.shelves.held["stock"].get(level):
            self._house.shelves.held["stock"][level] += 1


def wrong_secret() -> str:
    """Well-formed, and not the sender's."""
    return "whsec_" + base64.b64encode(b"a secret that nobody signs with").decode()


def level_key(sku: str) -> str:
    return f"{WAREHOUSE}/{sku}"
