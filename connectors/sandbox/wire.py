"""The request that a vendor module reads and the response that it gives."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import orjson

if TYPE_CHECKING:
    from connectors.sandbox.faults import FaultBoard
    from connectors.sandbox.store import Change, Store
    from connectors.sandbox.world import World


@dataclass(slots=True)
class Request:
    method: str
    path: str  # percent-decoded
    query: dict[str, str]  # of a repeated name the last
    query_list: list[tuple[str, str]]  # in order, as sent
    headers: dict[str, str]  # names in lower case
    body: bytes
    match: re.Match[str]  # of the route
    store: Store
    world: World
    faults: FaultBoard
    base_url: str  # "http://127.0.0.1:8100", as the caller addressed us
    raw_target: str  # path and query as sent

    def json(self) -> Any:
        """The body; raises ``orjson.JSONDecodeError`` (a ValueError) for anything but JSON."""
        return orjson.loads(self.body)


@dataclass(slots=True)
class Response:
    """``body``: a dict or list becomes JSON, a str UTF-8 text, bytes go out as they are."""

    status: int = 200
    body: bytes | str | dict[str, Any] | list[Any] = b""
    headers: dict[str, str] = field(default_factory=dict)

    def encoded(self) -> bytes:
        """The body as bytes; fills in a Content-Type where the handler gave none."""
        if isinstance(self.body, bytes):
            return self.body
        if isinstance(self.body, str):
            self.headers.setdefault("Content-Type", "text/plain; charset=utf-8")
            return self.body.encode()
        self.headers.setdefault("Content-Type", "application/json; charset=utf-8")
        return orjson.dumps(self.body)


Handler = Callable[[Request], Response]
Route = tuple[str, re.Pattern[str], Handler]  # method, full match of the path, handler


class Vendor(Protocol):
    """What a vendor module offers to the server."""

    SYSTEM: str
    ROUTES: list[Route]

    def register(self, store: Store, world: World) -> None:
        """Register the system's collections."""

    def error(self, request: Request, status: int, message: str) -> Response:
        """An error in the vendor's own form: also for the faults 401, 429 and 5xx, and for 404."""

    def revoke(self, store: Store) -> None:
        """Make every token and session that was given out invalid (``store.memory``)."""

    def webhook(self, change: Change) -> tuple[dict[str, str], bytes] | None:
        """Signed headers and body for a change, or None when the vendor sends nothing.

        Called for every attempt: the id stays the same, the time of the signature does not.
        """
