"""GraphQL and REST reads ahead of Django's middleware, for holders of an API key.

What the middleware and the view owe a request holds here too, each in its cheapest form:

    host             one of ALLOWED_HOSTS, as Django decides (its verdict remembered)
    authentication   an API key or a token; revoked keys are refused within two seconds
    rights           of the reader, held against what the plan reads; fields that are not seen
    limits           requests a minute; body size here; tokens, depth and cost when the plan is made
    negotiation      locale and market by the headers, CORS
    correlation      the id accepted or made, and sent back
    caching          answers that are kept (hub.cache); ETag and 304, headers for other caches
    request log      one line, of the same form
    safe headers     as SecurityMiddleware and XFrameOptionsMiddleware set them
    usage            counted by key; deprecated fields named in headers (see hub.usage)

Everything that is not such a read goes to Django with its body, and is answered there as if this
module did not exist: other methods, sessions, wrong keys, spent limits, broken bodies, errors, a
database that is away. So this module says nothing about errors but an unknown key's.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping
from time import perf_counter
from typing import Any
from urllib.parse import parse_qsl

import orjson
import structlog
from django.conf import settings
from django.db import Error as DjangoDatabaseError
from django.db import connection
from django.http import HttpResponse
from django.http.request import split_domain_port, validate_host
from graphql import GraphQLError
from psycopg import Error as DatabaseError
from psycopg import OperationalError

from hub import negotiation
from hub.auth import cors
from hub.auth.access import READER, answer_headers, counted, holder_of
from hub.auth.keys import presented
from hub.cache import http
from hub.cache.near import Kept
from hub.cache.reading import PROCESS, Reading, Shelf
from hub.degraded import HEADER as DEGRADED
from hub.degraded import Marked, with_header
from hub.graphql.limits import MAX_BODY_BYTES
from hub.reads import persisted, rest
from hub.reads.answer import answered
from hub.reads.pool import on_pool
from hub.usage import counting, noted
from observability import context, degradation, spans
from observability.logs import request_line
from observability.redaction import redact_address

WSGIApplication = Callable[[dict[str, Any], Any], Iterable[bytes]]

log = structlog.get_logger(__name__)

PATH, REST = "/graphql", rest.PREFIX
USUAL_TYPE = "application/json"
JSON_TYPES = frozenset({USUAL_TYPE, "application/graphql-response+json"})
#: Tells the view that the compiled reads have passed.
LEFT = "headwater.left_to_graphene"
#: Where a request keeps what its headers wish.
WISHES = "headwater.wishes"
#: `Headwater-Use`, as WSGI calls it.
USE = "HTTP_HEADWATER_USE"
MOST_HOSTS = 256
#: Longer requests are answered from Redis, but not remembered as they were sent.
LONGEST_ASKED = 4 * 1024
STATUS = {200: "200 OK", 304: "304 Not Modified"}
#: What a reader may and what the headers wish: requests that are told apart by no more.
Who = tuple[str, str]
#: Who asks, and a path with its query, or the body of a POST of GraphQL.
Asked = tuple[Who, str, str] | tuple[Who, bytes]
BY_ORIGIN = ("Vary", "Origin")


class Front:
    """The WSGI application; `django` answers what this one does not."""

    def __init__(self, django: WSGIApplication) -> None:
        self._django, self.shelf = django, Shelf()
        self._hosts: set[str] = set()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        started = perf_counter()
        asked = self._asked(environ)
        if asked is not None:
            correlation_id = _correlation_id(environ)
            if (kept := self._kept(asked, environ)) is not None:
                return _sent(
                    kept, environ, start_response, correlation_id, started, outcome=PROCESS
                )
            if (kept := self._read(asked, environ, correlation_id)) is not None:
                return _sent(
                    kept, environ, start_response, correlation_id, started, outcome=kept.outcome
                )
            if len(asked) == 2:
                environ["wsgi.input"] = io.BytesIO(asked[1])
        return self._django(environ, _unkept(start_response))

    def _kept(self, asked: Asked, environ: Mapping[str, Any]) -> Kept | None:
        """What is kept bears no marks, and was held to no limit of a use."""
        if USE in environ or degradation.current().outages:
            return None
        return self.shelf.near.get(asked)

    def _asked(self, environ: dict[str, Any]) -> Asked | None:
        """What is asked, and by whom; None where it is not for us, and then the body is unread."""
        method = environ["REQUEST_METHOD"]
        if not self._known_host(environ.get("HTTP_HOST", "")) or _of_past(environ):
            return None
        if method == "GET":
            path, query = environ["PATH_INFO"], environ.get("QUERY_STRING", "")
            who = _admitted(environ)
            return None if who is None else (who, path, query)
        return _posted(environ) if method == "POST" and environ["PATH_INFO"] == PATH else None

    def _read(self, asked: Asked, environ: dict[str, Any], correlation_id: str) -> Kept | None:
        """The answer of status 200 from what is stored, kept if it may be; None: Django has to answer."""
        self.shelf.follow()
        reader, wishes, use = environ[READER], environ[WISHES], environ.get(USE)
        who = {"rights": reader.rights, "wishes": wishes, "use": use}
        reading = Reading(self.shelf, on_pool, reader.rights.visibility.name)
        address = None
        with context.correlation(correlation_id):
            if len(asked) == 2:
                found = _answer(_members(asked[1]), reading, who)
            elif asked[1] == PATH:
                found = _answer(members_of_query(asked[2]), reading, who)
            else:
                address = _address(asked[1], asked[2])
                found = _answer_rest(address, reading, who)
        if found is None:
            environ[LEFT] = True
            return None
        if use or isinstance(found, Marked):
            reading.refuse()
        kept = http.answer(found, reading, get=len(asked) == 3, uses=noted.taken())
        if address is not None:
            kept.headers.append(("Content-Language", rest.language(address, wishes)))
        if kept.until and len(asked[-1]) <= LONGEST_ASKED:
            self.shelf.near.put(asked, kept, reading.clock)
        return kept

    def _known_host(self, host: str) -> bool:
        if host in self._hosts:
            return True
        domain, _ = split_domain_port(host)
        if not domain or not validate_host(domain, settings.ALLOWED_HOSTS):
            return False
        if len(self._hosts) >= MOST_HOSTS:
            self._hosts.clear()
        self._hosts.add(host)
        return True


def _of_past(environ: Mapping[str, Any]) -> bool:
    """Whether GraphQL is asked for an earlier moment (hub.past); REST's addresses tell it themselves."""
    return "at=" in environ.get("QUERY_STRING", "") and environ["PATH_INFO"] == PATH


def _posted(environ: dict[str, Any]) -> Asked | None:
    length = environ.get("CONTENT_LENGTH") or ""
    kind = environ.get("CONTENT_TYPE", "")
    if kind != USUAL_TYPE and kind.partition(";")[0].strip().lower() not in JSON_TYPES:
        return None
    if not length.isdigit() or int(length) > MAX_BODY_BYTES:
        return None
    who = _admitted(environ)
    if who is None:
        return None
    return who, environ["wsgi.input"].read(int(length))


def _sent(
    kept: Kept,
    environ: Mapping[str, Any],
    start_response: Any,
    correlation_id: str,
    started: float,
    *,
    outcome: str,
) -> Iterable[bytes]:
    status, body, headers = 200, [kept.body], kept.headers
    if "HTTP_IF_NONE_MATCH" in environ and http.matches(kept.etag, environ["HTTP_IF_NONE_MATCH"]):
        status, body = 304, []
        headers = [header for header in headers if header[0] not in http.OF_CONTENT]
    # A key in an address is anybody's text.
    path = redact_address(environ["PATH_INFO"])
    milliseconds = (perf_counter() - started) * 1000
    request_line(environ["REQUEST_METHOD"], path, status, milliseconds, correlation_id)
    if "HTTP_TRACEPARENT" in environ:
        with context.correlation(correlation_id):
            spans.answered(
                environ["REQUEST_METHOD"], path, status, milliseconds / 1000,
                environ["HTTP_TRACEPARENT"], read=True,
            )  # fmt: skip
    reader = environ[READER]
    if kept.uses is not None and reader.counted_as:
        counting.count(reader.counted_as, kept.uses, outcome, milliseconds)
    more = (*answer_headers(environ), *_crossing(environ), (context.HEADER, correlation_id))
    start_response(STATUS[status], [*headers, *more])
    return body


def _crossing(environ: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a page of another site is told."""
    if not cors.enabled():
        return []
    return [*cors.granted(environ.get("HTTP_ORIGIN", "")), BY_ORIGIN]


def _unkept(start_response: Any) -> Any:
    """What Django answers here is worded for one reader, or says that something is wrong."""

    def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
        if not any(name.lower() == "cache-control" for name, _ in headers):
            headers = [*headers, http.NO_STORE]
        return start_response(status, headers, *more)

    return start


def _answer(
    members: Mapping[str, Any] | None, reading: Reading, who: Mapping[str, Any]
) -> bytes | None:
    """The body of an answer of status 200; None where Django has to answer."""
    if members is None:
        return None
    variables, name = members.get("variables"), members.get("operationName")
    if variables is None:
        variables = {}
    if not isinstance(variables, dict) or not isinstance(name, str | None):
        return None
    try:
        text = persisted.text_of(members, trusted_only=settings.HEADWATER_TRUSTED_ONLY)
        if text is None:
            return None
        found = answered(text, variables, name, reading, **who)
    except (GraphQLError, DatabaseError, DjangoDatabaseError) as error:
        if isinstance(error, DjangoDatabaseError):
            _let_go()
        return None
    if isinstance(found, HttpResponse):
        reading.refuse()
        marks = found.headers.get(DEGRADED)
        return with_header(found.content, marks) if found.status_code == 200 else None
    return found


def _answer_rest(
    address: rest.Address | None, reading: Reading, who: Mapping[str, Any]
) -> bytes | None:
    if address is None:
        return None
    try:
        return rest.answered(address, reading, **who)
    except OperationalError:
        return None
    except DjangoDatabaseError:
        _let_go()
        return None
    except DatabaseError:
        log.exception("a compiled statement failed", entity=address.cls.declaration.name)
        return None


def _members(raw: bytes) -> dict[str, Any] | None:
    try:
        members = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    return members if isinstance(members, dict) else None


def members_of_query(query: str) -> dict[str, Any] | None:
    """A request's members in an address: a persisted document alone is asked for by GET."""
    if "extensions=" not in query and "documentId=" not in query:
        return None
    given = dict(parse_qsl(query))
    members: dict[str, Any] = {n: given[n] for n in ("operationName", "documentId") if n in given}
    try:
        for name in ("extensions", "variables"):
            if name in given:
                members[name] = orjson.loads(given[name])
    except orjson.JSONDecodeError:
        return None
    return members


def _address(path: str, query: str) -> rest.Address | None:
    try:
        # WSGI hands the bytes of a path over as if they were Latin-1.
        return rest.address_of(path.encode("latin-1").decode(), query)
    except UnicodeError:
        return None


def _admitted(environ: dict[str, Any]) -> Who | None:
    """Who asks, if they are known and may go on asking; Django tells whoever may not."""
    credentials = presented(environ)
    if not credentials:
        return None
    try:
        reader = holder_of(credentials)
        if reader is None or not counted(environ, reader):
            return None
        environ[WISHES] = wishes = negotiation.wishes(environ)
        return reader.rights.name, wishes.name
    except DjangoDatabaseError:
        _let_go()
        return None


def _let_go() -> None:
    """PostgreSQL was restarted since this thread last asked: its connection is of no use."""
    connection.close()


def _correlation_id(environ: Mapping[str, Any]) -> str:
    if "HTTP_X_CORRELATION_ID" in environ or "HTTP_TRACEPARENT" in environ:
        return context.accepted_id(_Headers(environ)) or context.new_id()
    return context.new_id()


class _Headers(dict[str, str]):
    """Looks headers up in a WSGI environment, without copying it."""

    def __init__(self, environ: Mapping[str, Any]) -> None:
        super().__init__()
        self._environ = environ

    def get(self, name: str, default: Any = None) -> Any:
        return self._environ.get(f"HTTP_{name.upper().replace('-', '_')}", default)
