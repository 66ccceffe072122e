"""A sender like a vendor's: paced, out of order now and then, repeating until it hears 2xx."""

from __future__ import annotations

import json
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from http.client import HTTPConnection, HTTPException

from connectors.webhooks.schemes import standard_signature
from tests.faults.house import SECRET, House
from tests.faults.journal import Event, Journal
from tests.faults.upstream import SLUG, Upstream, level, record_key

POISONS = ("defect", "hang", "exit")
ANSWER_SECONDS = 20.0
AGAIN_SECONDS = (0.1, 0.5)


class Script:
    """Events from a seed, for ever: what a fault finds the system at.

    Most carry their record. One in ten has to be asked for, and of these one in ten is gone by
    then. One in fifty comes twice. Within a window they come in any order.
    """

    WINDOW = 16

    def __init__(
        self,
        prefix: str,
        seed: int,
        upstream: Upstream,
        *,
        keys: int = 400,
        poison: float = 0.0,
        kinds: Sequence[str] = POISONS,
    ) -> None:
        self.prefix = prefix
        self._random = random.Random(f"{prefix}/{seed}")
        self._upstream, self._keys, self._poison, self._kinds = upstream, keys, poison, kinds
        self._number = 0
        self._window: list[Event] = []
        self._lock = threading.Lock()

    def next(self) -> Event:
        with self._lock:
            while len(self._window) < self.WINDOW:
                self._window.append(self._make())
            chosen = self._window.pop(self._random.randrange(len(self._window)))
            if self._random.random() < 0.02:
                self._window.append(chosen)
            return chosen

    def rest(self) -> Iterator[Event]:
        """What a finite script has begun and must say: an upstream that changed was told of."""
        while self._window:
            yield self._window.pop()

    def _make(self) -> Event:
        self._number += 1
        number, chance = self._number, self._random.random()
        name = f"{self.prefix}-{number}"
        if chance < self._poison:
            kind = self._kinds[self._random.randrange(len(self._kinds))]
            return Event(name, f"{self.prefix}-P{number}", number, poison=kind)
        place = self._random.randrange(self._keys)
        if self._random.random() >= 0.1:
            return Event(name, f"{self.prefix}-C{place}", number)
        sku, held = f"{self.prefix}-A{place}", self._upstream.held["stock"]
        if self._random.random() < 0.1:
            held.pop(sku, None)
        else:
            held[sku] = number
        return Event(name, sku, number, asked=True)


class Sender:
    """Threads that send a script at a pace. `count` None: until `finish`."""

    def __init__(
        self,
        house: House,
        script: Script,
        journal: Journal,
        *,
        rate: float,
        count: int | None = None,
        threads: int = 8,
    ) -> None:
        self._house, self._script, self._journal = house, script, journal
        self._rate, self._count = rate, count
        self.taken = 0
        self._began = time.monotonic()
        self._finishing, self._abandoned = threading.Event(), threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    @property
    def running(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)

    def finish(self, seconds: float = 120.0) -> None:
        """Begin nothing new; returns when all that was begun is acknowledged. Raises TimeoutError."""
        self._finishing.set()
        self.wait(seconds)

    def abandon(self) -> None:
        """End without waiting for what is not acknowledged."""
        self._abandoned.set()
        for thread in self._threads:
            thread.join(ANSWER_SECONDS + 1)

    def wait(self, seconds: float) -> None:
        """Until all is acknowledged. Raises TimeoutError."""
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if self.running:
            raise TimeoutError("the sender still waits for acknowledgements")

    def _run(self) -> None:
        link = _Link(self._house.port)
        while (event := self._take()) is not None:
            self._journal.sending(event)
            while (answer := link.post(event)) != "202":
                self._journal.answered(event, answer)
                if self._abandoned.wait(random.uniform(*AGAIN_SECONDS)):
                    return
            self._journal.answered(event, answer)
        link.close()

    def _take(self) -> Event | None:
        if self._abandoned.is_set():
            return None
        with self._lock:
            ends = self._finishing.is_set() if self._count is None else self.taken >= self._count
            if ends:
                return next(self._script.rest(), None)
            due = self._began + self.taken / self._rate
            self.taken += 1
            event = self._script.next()
        time.sleep(max(0.0, due - time.monotonic()))
        return event


class _Link:
    """One connection, kept while it works."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._http: HTTPConnection | None = None

    def post(self, event: Event) -> str:
        """The status, or the name of what went wrong."""
        told: dict[str, object] = {"id": event.id, "key": record_key(event.sku)}
        if not event.asked:
            told["record"] = level(event.sku, event.number, event.poison)
        body, stamp = json.dumps(told).encode(), int(time.time())
        headers = {
            "Content-Type": "application/json",
            "webhook-id": event.id,
            "webhook-timestamp": str(stamp),
            "webhook-signature": standard_signature(event.id, stamp, body, [SECRET]),
        }
        try:
            if self._http is None:
                self._http = HTTPConnection("127.0.0.1", self._port, timeout=ANSWER_SECONDS)
                self._http.connect()
                self._http.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._http.request("POST", f"/hooks/{SLUG}/", body, headers)
            response = self._http.getresponse()
            response.read()
        except (OSError, HTTPException) as error:
            self.close()
            return type(error).__name__
        return str(response.status)

    def close(self) -> None:
        if self._http is not None:
            self._http.close()
            self._http = None


class Caller:
    """Somebody who reads meanwhile, through REST and GraphQL; counts what came back."""

    PAUSE_SECONDS = 0.2
    ASKED = (
        ("GET", "/api/v1/stocks?limit=5", None),
        ("POST", "/graphql", json.dumps({"query": "{ stocks(first: 5) { nodes { available } } }"})),
    )

    def __init__(self, house: House) -> None:
        self._house = house
        self.answers: Counter[str] = Counter()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._ended.set()
        self._thread.join(30)

    def _run(self) -> None:
        headers = {
            "Authorization": f"Bearer {self._house.api_key}",
            "Content-Type": "application/json",
        }
        while not self._ended.is_set():
            for method, path, body in self.ASKED:
                self.answers[self._ask(method, path, body, headers)] += 1
                self._ended.wait(self.PAUSE_SECONDS)

    def _ask(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> str:
        link = HTTPConnection("127.0.0.1", self._house.port, timeout=ANSWER_SECONDS)
        try:
            link.request(method, path, body, headers)
            response = link.getresponse()
            response.read()
        except (OSError, HTTPException) as error:
            return type(error).__name__
        finally:
            link.close()
        return str(response.status)
