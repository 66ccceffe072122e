"""GraphQL and REST reads ahead of Django's middleware, for holders of an API key.

What the middleware and the view owe a request holds here too, each in its cheapest form:

    host             one of ALLOWED_HOSTS, as Django decides (its verdict remembered)
    authentication   an API key; revoked keys are refused within two seconds
    limits           body size here; tokens, depth, aliases and cost when the plan is made
    correlation      the id accepted or made, and sent back
    request log      one line, of the same form
    safe headers     as SecurityMiddleware and XFrameOptionsMiddleware set them

Everything that is not such a read goes to Django with its body, and is answered there as if this
module did not exist: other methods, sessions, wrong keys, broken bodies, errors, a database that
is away. So this module says nothing about errors but an unknown key's.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
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

from hub.auth.keys import lately_recognised, presented
from hub.degraded import HEADER as DEGRADED
from hub.degraded import headers_of, with_header
from hub.graphql.limits import MAX_BODY_BYTES
from hub.reads import persisted, rest
from hub.reads.answer import answered
from hub.reads.pool import on_pool
from observability import context
from observability.logs import redact_text, request_line

WSGIApplication = Callable[[dict[str, Any], Any], Iterable[bytes]]

log = structlog.get_logger(__name__)

PATH, REST = "/graphql", rest.PREFIX
JSON_TYPES = frozenset({"application/json", "application/graphql-response+json"})
#: Tells the view that the compiled reads have passed.
LEFT = "headwater.left_to_graphene"
#: `Headwater-Use`, as WSGI calls it.
USE = "HTTP_HEADWATER_USE"
MOST_HOSTS = 256
#: Paths in which no pattern of `redact_text` can be: each needs a blank, a colon, `_` or `=`.
HARMLESS = re.compile(r"[A-Za-z0-9/.-]*")
ALWAYS = [
    ("Content-Type", "application/json"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("X-Frame-Options", "DENY"),
]


class Front:
    """The WSGI application; `django` answers what this one does not."""

    def __init__(self, django: WSGIApplication) -> None:
        self._django = django
        self._hosts: set[str] = set()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        started = perf_counter()
        answer = self._answering(environ)
        if answer is not None:
            with context.correlation(_correlation_id(environ)) as correlation_id:
                body = answer()
            if body is not None:
                milliseconds = (perf_counter() - started) * 1000
                method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
                # A key in an address is anybody's text.
                path = path if HARMLESS.fullmatch(path) else redact_text(path)
                request_line(method, path, 200, milliseconds, correlation_id)
                start_response(
                    "200 OK",
                    [
                        *ALWAYS,
                        ("Content-Length", str(len(body))),
                        (context.HEADER, correlation_id),
                        *headers_of(body).items(),
                    ],
                )
                return [body]
            environ[LEFT] = True
        return self._django(environ, start_response)

    def _answering(self, environ: dict[str, Any]) -> Callable[[], bytes | None] | None:
        """What would answer the request; None where it is not for us."""
        if environ["PATH_INFO"] == PATH:
            members = self._asked(environ)
            return None if members is None else partial(_answer, members, environ.get(USE))
        if environ["REQUEST_METHOD"] != "GET" or not self._known_host(environ.get("HTTP_HOST", "")):
            return None
        try:
            # WSGI hands the bytes of a path over as if they were Latin-1.
            path = environ["PATH_INFO"].encode("latin-1").decode()
        except UnicodeError:
            return None
        address = rest.address_of(path, environ.get("QUERY_STRING", ""))
        if address is None or not _admitted(environ):
            return None
        return partial(_answer_rest, address, environ.get(USE))

    def _asked(  # noqa: PLR0911 (one line a duty)
        self, environ: dict[str, Any]
    ) -> dict[str, Any] | None:
        """The request's members; None where it is not for us. The body can be read again."""
        if not self._known_host(environ.get("HTTP_HOST", "")):
            return None
        if environ["REQUEST_METHOD"] == "GET":
            body = members_of_query(environ.get("QUERY_STRING", ""))
            return body if body is not None and _admitted(environ) else None
        if environ["REQUEST_METHOD"] != "POST":
            return None
        length = environ.get("CONTENT_LENGTH") or ""
        kind = environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
        if kind not in JSON_TYPES or not length.isdigit() or int(length) > MAX_BODY_BYTES:
            return None
        if not _admitted(environ):
            return None
        raw = environ["wsgi.input"].read(int(length))
        environ["wsgi.input"] = io.BytesIO(raw)
        try:
            members = orjson.loads(raw)
        except orjson.JSONDecodeError:
            return None
        return members if isinstance(members, dict) else None

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


def _answer(members: Mapping[str, Any], use: str | None) -> bytes | None:
    """The body of an answer of status 200; None where Django has to answer."""
    variables, name = members.get("variables"), members.get("operationName")
    if variables is None:
        variables = {}
    if not isinstance(variables, dict) or not isinstance(name, str | None):
        return None
    try:
        text = persisted.text_of(members, trusted_only=settings.HEADWATER_TRUSTED_ONLY)
        if text is None:
            return None
        found = answered(text, variables, name, on_pool, use)
    except (GraphQLError, DatabaseError):
        return None
    if isinstance(found, HttpResponse):
        value = found.headers.get(DEGRADED)
        return with_header(found.content, value) if found.status_code == 200 else None
    return found


def _answer_rest(address: rest.Address, use: str | None) -> bytes | None:
    try:
        return rest.answered(address, on_pool, use)
    except OperationalError:
        return None
    except DatabaseError:
        log.exception("a compiled statement failed", entity=address.cls.declaration.name)
        return None


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


def _admitted(environ: Mapping[str, Any]) -> bool:
    key = presented(_Headers(environ))
    if not key:
        return False
    try:
        return lately_recognised(key)
    except DjangoDatabaseError:
        # PostgreSQL was restarted since this thread last asked: its connection is of no use.
        connection.close()
        return False


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
