"""What the journal of calls is told of one attempt: its operation, its size, its error, the limit."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from time import monotonic
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from requests import Response

from observability import calls, spans
from observability.context import current_id
from observability.errors import HubError

#: Operations of one system that are told apart in a process; beyond that their paths are left out.
MOST_OPERATIONS = 100

#: A part of a path that is a word: `products`, `A_Product`, `oauth2`, `v60.0`, `API_SRV;v=0002`.
_WORD = re.compile(
    r"v\d+(\.\d+)?|(?=.{1,40}$)[A-Za-z_$.~-]*(?:[A-Za-z]{3}\d)?[A-Za-z_$-]*(;v=\d+)?"
)
#: OData 4.01, part 2, section 4.3.1: the key of an entity stands in parentheses.
_KEYED = re.compile(r"([A-Za-z_][A-Za-z_.]*)\(.*\)")

#: IETF draft-ietf-httpapi-ratelimit-headers-09: `RateLimit: "minute";r=50;t=30` and
#: `RateLimit-Policy: "minute";q=100;w=60`.
_LEFT, _QUOTA = re.compile(r";\s*r=(\d+)"), re.compile(r";\s*q=(\d+)")
#: Pairs of headers, (what is left, of how many): the draft's former form, and what many send.
_PAIRS = (
    ("RateLimit-Remaining", "RateLimit-Limit"),
    ("X-RateLimit-Remaining", "X-RateLimit-Limit"),
    ("X-Rate-Limit-Remaining", "X-Rate-Limit-Limit"),
)
#: Headers that say `used/of`: Salesforce REST API Developer Guide, "Limit Info Header"; Shopify
#: "API rate limits".
_USED = ("Sforce-Limit-Info", "X-Shopify-Shop-Api-Call-Limit")
_SHARE = re.compile(r"(?:api-usage=)?(\d+)/(\d+)")

_known: defaultdict[str, set[str]] = defaultdict(set)


class Noted:
    """A block in which one attempt is made; noted at its end, with the error that it ended in.

    `response` is set to what came, also where that is an error.
    """

    __slots__ = ("_began", "_operation", "_path", "_span", "_system", "_verb", "response")

    def __init__(self, system: str, base_url: str, verb: str, url: str) -> None:
        self._system, self._verb, self._path = system, verb, path_below(base_url, url)
        self._operation = operation_of(system, verb, self._path)
        self._span = spans.span(
            self._operation, spans.CLIENT, http_request_method=verb, peer_service=system
        )
        self.response: Response | None = None

    def __enter__(self) -> Self:
        self._span.__enter__()
        self._began = monotonic()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        response = self.response
        if response is not None:
            self._span.mark(http_response_status_code=response.status_code)
        self._span.__exit__(kind, error, trace)
        calls.note(
            calls.Call(
                system=self._system,
                operation=self._operation,
                method=self._verb,
                path=self._path,
                status=None if response is None else response.status_code,
                error=error.code if isinstance(error, HubError) else HubError.code if kind else "",
                milliseconds=(monotonic() - self._began) * 1000,
                sent_bytes=0 if response is None else _sent(response),
                received_bytes=0 if response is None else _received(response),
                correlation_id=current_id() or "",
                headroom=None if response is None else headroom(response.headers),
            )
        )


def path_below(base_url: str, url: str) -> str:
    """The path of an address below the connection's own, without a query: `/` at least.

    What stands in a connection's address stays out of journals, logs and messages: of an endpoint
    such as a chat's incoming webhook, it is the secret.
    """
    base, path = urlsplit(base_url).path.rstrip("/"), urlsplit(url).path
    if path == base or path.startswith(f"{base}/"):
        path = path[len(base) :]
    return path or "/"


def operation_of(system: str, verb: str, path: str) -> str:
    """`GET products/{}`: the method and the path, with what looks like an id replaced."""
    parts = path.strip("/").split("/")
    found = f"{verb} " + ("/".join(_part(part) for part in parts) if parts[0] else "/")
    known = _known[system]
    if found not in known:
        if len(known) >= MOST_OPERATIONS:
            return f"{verb} …"
        known.add(found)
    return found


def headroom(headers: Mapping[str, str]) -> float | None:
    """The share of the rate limit that is left, 0 to 1, of several the smallest; None: not told."""
    shares = []
    left, quota = headers.get("RateLimit", ""), headers.get("RateLimit-Policy", "")
    shares += [
        _share(int(rest), int(of))
        for rest, of in zip(_LEFT.findall(left), _QUOTA.findall(quota), strict=False)
    ]
    for rest, of in ((headers.get(one, ""), headers.get(two, "")) for one, two in _PAIRS):
        if rest.isdecimal() and of.isdecimal():
            shares.append(_share(int(rest), int(of)))
    for name in _USED:
        if told := _SHARE.search(headers.get(name, "")):
            shares.append(_share(int(told[2]) - int(told[1]), int(told[2])))
    return min(shares, default=None)


def _share(left: int, of: int) -> float:
    return max(0.0, min(1.0, left / of)) if of else 0.0


def _part(part: str) -> str:
    if keyed := _KEYED.fullmatch(part):
        return f"{keyed[1]}({{}})"
    return part if _WORD.fullmatch(part) else "{}"


def _sent(response: Response) -> int:
    length = response.request.headers.get("Content-Length", "0")
    return int(length) if length.isdecimal() else 0


def _received(response: Response) -> int:
    # What could not be read to its end has no content.
    return len(response._content or b"") if isinstance(response._content, bytes) else 0
