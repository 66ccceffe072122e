"""Webhook emission: one thread that signs, sends, tries again and keeps a log."""

from __future__ import annotations

import heapq
import http.client
import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextvars import Context, copy_context
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson

from connectors.sandbox.store import Change

Signer = Callable[[Change], tuple[dict[str, str], bytes] | None]
#: In which messages that were held can be let go.
ORDERS: dict[str, Callable[[list[Any]], list[Any]]] = {
    "oldest_first": list,
    "newest_first": lambda held: held[::-1],
    # the same at each run: every second one, then the others
    "interleaved": lambda held: held[1::2] + held[::2],
}
MOST_TIMES = 10
RETRY_AFTER_SECONDS = (0.5, 2.0, 10.0, 30.0)  # so five attempts in all
_TIMEOUT_SECONDS = 5.0


@dataclass
class Delivery:
    """One message to one subscriber."""

    id: int
    system: str
    collection: str
    key: str
    kind: str
    url: str
    at_ms: int
    change: Change = field(repr=False)
    # Who caused it is known in the context of the call that did, also when it is sent later.
    cause: Context = field(repr=False)
    state: str = "waiting"  # waiting, delivered, failed
    attempts: int = 0
    status: int | None = None
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            f.name: getattr(self, f.name) for f in fields(self) if f.name not in {"change", "cause"}
        }


class Emitter:
    """Sends each change to the subscriber of its system; without one, nothing is kept."""

    def __init__(self, signers: Mapping[str, Signer], path: Path | None = None) -> None:
        self._signers = signers
        self._path = path
        self._subscriptions: dict[str, str] = _read(path)
        self.log: deque[Delivery] = deque(maxlen=500)
        self._held: dict[str, list[Delivery]] = {}
        self._due: list[tuple[float, int, Delivery]] = []
        self._numbers = itertools.count(1)
        self._wake = threading.Condition()
        self._sending = 0
        self._closed = False
        self._connections: dict[tuple[str, str], http.client.HTTPConnection] = {}
        self._thread = threading.Thread(target=self._run, name="webhooks", daemon=True)
        self._thread.start()

    # --- subscriptions ------------------------------------------------------------------------

    def subscriptions(self) -> dict[str, str]:
        return dict(self._subscriptions)

    def subscribe(self, system: str, url: str | None) -> None:
        """``None`` ends the subscription. Raises ValueError for anything but an http(s) URL."""
        if url is not None:
            parts = urlsplit(url)
            if parts.scheme not in {"http", "https"} or not parts.hostname:
                raise ValueError(f"url must be an http or https address, not {url!r}")
        with self._wake:
            self._subscriptions.pop(system, None)
            if url is not None:
                self._subscriptions[system] = url
            if self._path is not None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._path.write_bytes(orjson.dumps(self._subscriptions))

    # --- sending ------------------------------------------------------------------------------

    def notice(self, change: Change) -> None:
        """Listener of the store: queue a message, if anyone wants it."""
        url = self._subscriptions.get(change.system)
        if url is None or change.system not in self._signers:
            return
        if self._signers[change.system](change) is None:
            return
        delivery = Delivery(
            next(self._numbers), change.system, change.collection, change.key, change.kind, url,
            change.at_ms, change=change, cause=copy_context(),
        )  # fmt: skip
        with self._wake:
            held = self._held.get(change.system)
            if held is not None:
                held.append(delivery)
                return
            self._queue(delivery)

    def _queue(self, delivery: Delivery) -> None:
        self.log.append(delivery)
        heapq.heappush(self._due, (time.monotonic(), delivery.id, delivery))
        self._wake.notify()

    def hold(self, system: str) -> None:
        """Keep what the system has to say until `release`."""
        with self._wake:
            self._held.setdefault(system, [])

    def release(self, system: str, order: str = "oldest_first", times: int = 1) -> int:
        """Deliver what was held, each message so many times; how many deliveries that makes.

        Raises ValueError for an order that there is not.
        """
        if order not in ORDERS:
            raise ValueError(f"order must be one of {', '.join(ORDERS)}, not {order!r}")
        if type(times) is not int or not 1 <= times <= MOST_TIMES:
            raise ValueError(f"times must be a whole number from 1 to {MOST_TIMES}, not {times!r}")
        with self._wake:
            held = ORDERS[order](self._held.pop(system, []))
            for delivery in held * times:
                # A new number each time: what is due at once leaves in the order of the numbers.
                self._queue(replace(delivery, id=next(self._numbers)))
        return len(held) * times

    def pending(self) -> int:
        with self._wake:
            return len(self._due) + self._sending

    def close(self) -> None:
        with self._wake:
            self._closed = True
            self._wake.notify()
        self._thread.join(_TIMEOUT_SECONDS + 1)

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._closed and (not self._due or self._due[0][0] > time.monotonic()):
                    pause = self._due[0][0] - time.monotonic() if self._due else None
                    self._wake.wait(pause if pause is None else max(0.0, pause))
                if self._closed:
                    return
                delivery = heapq.heappop(self._due)[2]
                self._sending = 1
            self._attempt(delivery)
            with self._wake:
                self._sending = 0
                if delivery.state == "waiting":
                    again = time.monotonic() + RETRY_AFTER_SECONDS[delivery.attempts - 1]
                    heapq.heappush(self._due, (again, delivery.id, delivery))

    def _attempt(self, delivery: Delivery) -> None:
        delivery.attempts += 1
        try:
            signed = delivery.cause.run(self._signers[delivery.system], delivery.change)
            if signed is None:
                delivery.state = "delivered"
                return
            delivery.status = self._post(delivery.url, *signed)
            delivery.error = None
        except (OSError, http.client.HTTPException) as error:
            delivery.status, delivery.error = None, f"{type(error).__name__}: {error}"
        if delivery.status is not None and 200 <= delivery.status < 300:
            delivery.state = "delivered"
        elif delivery.attempts > len(RETRY_AFTER_SECONDS):
            delivery.state = "failed"

    def _post(self, url: str, headers: dict[str, str], body: bytes) -> int:
        parts = urlsplit(url)
        place = (parts.scheme, parts.netloc)
        kept = self._connections.pop(place, None)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        headers = {"Content-Type": "application/json"} | headers
        if kept is not None:
            try:
                return self._exchange(place, kept, target, headers, body)
            except (OSError, http.client.HTTPException):
                kept.close()  # the subscriber may have closed an idle connection: try a fresh one
        secure = parts.scheme == "https"
        connect = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        fresh = connect(parts.netloc, timeout=_TIMEOUT_SECONDS)
        return self._exchange(place, fresh, target, headers, body)

    def _exchange(
        self,
        place: tuple[str, str],
        connection: http.client.HTTPConnection,
        target: str,
        headers: dict[str, str],
        body: bytes,
    ) -> int:
        connection.request("POST", target, body, headers)
        response = connection.getresponse()
        response.read()
        self._connections[place] = connection
        return response.status


def _read(path: Path | None) -> dict[str, str]:
    if path is None or not path.exists():
        return {}
    return {str(system): str(url) for system, url in orjson.loads(path.read_bytes()).items()}
