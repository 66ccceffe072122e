"""The request that a vendor module reads and the response that it gives."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import orjson

if TYPE_CHECKING:
    from connectors.sandbox.faults import FaultBoard
    from connectors.sandbox.store import Change, Store
    from connectors.sandbox.world import World


class Headers(dict[str, str]):
    """Header fields by name, in whatever case they are asked for (RFC 9110, 5.1)."""

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        super().__init__((name.lower(), value) for name, value in pairs)

    def get(self, name: str, default: Any = None) -> Any:
        return super().get(name.lower(), default)

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and super().__contains__(name.lower())


@dataclass(slots=True)
class Request:
    method: str
    path: str  # percent-decoded
    query: dict[str, str]  # of a repeated name the last
    query_list: list[tuple[str, str]]  # in order, as sent
    query_string: str  # as sent, without the question mark
    headers: Headers
    body: bytes
    match: re.Match[str]  # of the route
    store: Store
    world: World
    faults: FaultBoard
    base_url: str  # "http://127.0.0.1:8100", as the caller addressed us

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
    """What the server asks a vendor module for, by these names.

    ``ERROR`` is used for the scripted faults (401, 429, 5xx) and for an unknown path (404);
    ``WEBHOOK`` and ``REVOKE`` may be missing. ``WEBHOOK`` is called for every attempt: the
    message's id stays the same (make it of ``change.at_ms``), the time of the signature does not.
    ``REVOKE`` makes every token and session that was given out invalid.
    """

    SYSTEM: str
    ROUTES: list[Route]
    register: Callable[[Store, World], None]
    ERROR: Callable[[Request, int, str], Response]
    WEBHOOK: Callable[[Change], tuple[dict[str, str], bytes] | None]
    REVOKE: Callable[[Store], None]
