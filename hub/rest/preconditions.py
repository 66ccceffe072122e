"""`If-Match`: a record is changed only as the caller has seen it (RFC 9110, 13.1.1; RFC 6585, 3).

    PATCH customers/{number}            the record itself: 428 without If-Match, 412 where it has changed
    POST payments/{payment}/capture     what is done with a record: If-Match is held if it is sent

A record that a command is changing just now, or whose new values are read back and not merged yet,
has no version that anybody could have seen: 412 as well. Whoever changes a record holds its lock from the
look at it until the command is committed, so of two with the same tag one is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from django.db import connection
from django.http import HttpRequest

from catalog.entities import Entity, entities
from connectors.commands.declare import Operation
from connectors.commands.pending import pending
from hub import listing, versions
from hub.problems import BadInputError, NotFoundError, RequestError

HEADER = "If-Match"
T = TypeVar("T")


class PreconditionFailedError(RequestError):
    """The record is not as the caller saw it."""

    code = "precondition_failed"
    http_status = 412


class PreconditionRequiredError(RequestError):
    """A record is changed only as it was seen."""

    code = "precondition_required"
    http_status = 428


@dataclass(frozen=True, slots=True)
class Target:
    """The record that an operation is about.

    `whole`: its address is the record's own, so that nobody may do without If-Match.
    """

    cls: type[Entity]
    member: str
    whole: bool


def target_of(operation: Operation) -> Target | None:
    """The record in an operation's path, if one is: `customers/{number}`, `payments/{id}/capture`."""
    plural, *rest = operation.path.split("/")
    cls = next((c for c in entities().values() if c.declaration.plural == plural), None)
    if cls is None or not rest or not rest[0].startswith("{"):
        return None
    return Target(cls, rest[0][1:-1], whole=len(rest) == 1)


def guarded(
    request: HttpRequest,
    target: Target | None,
    params: Mapping[str, Any],
    known: Callable[[], bool],
    accept: Callable[[], T],
) -> T:
    """What `accept` gives, under the request's precondition.

    `known`: whether this very request came before; then what it changed is no reason to refuse it.
    Raises PreconditionFailedError, PreconditionRequiredError, NotFoundError, BadInputError.
    """
    if_match = request.headers.get(HEADER)
    if target is None:
        if if_match is not None:
            raise PreconditionFailedError(
                f"there is no record here that {HEADER} could be about; leave it out",
                parameter=HEADER,
            )
        return accept()
    if if_match is None and not target.whole:
        return accept()
    key = str(params[target.member])
    with _held(target.cls, key):
        try:
            _check(target, key, if_match)
        except RequestError:
            if not known():
                raise
        return accept()


def _check(target: Target, key: str, if_match: str | None) -> None:
    name = target.cls.declaration.name
    # First: what is not pending any more shows in the row that is read after it.
    changing = pending(target.member, key, unsent=True)
    try:
        row = listing.found(target.cls, key)
    except NotFoundError:
        if target.whole:
            raise
        raise PreconditionFailedError(
            f"the {name} {listing.shown(key)} is not known here yet", parameter=HEADER
        ) from None
    if if_match is None:
        raise PreconditionRequiredError(
            f"send `{HEADER}` with the ETag that GET of this {name} answered", parameter=HEADER
        )
    try:
        same = versions.matches(if_match, versions.version_of(row))
    except ValueError as error:
        raise BadInputError(
            f"{error} is no entity tag; send the ETag that GET answered, in its double quotes",
            parameter=HEADER,
        ) from error
    if not same or (changing and if_match.strip() != versions.ANY):
        raise PreconditionFailedError(
            f"the {name} has changed, or is being changed; read it again, and send its ETag (a weak "
            "one, W/…, never matches)",
            parameter=HEADER,
        )


@contextmanager
def _held(cls: type[Entity], key: str) -> Iterator[None]:
    """The record's lock, of this session: what is committed meanwhile is committed under it."""
    named = f"headwater write {cls.declaration.name}/{key}"
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [named])
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", [named])
