"""API answers as of a moment: `?at=2026-11-21T12:00:00Z` of a REST record or list, and of GraphQL.

What is answered is what was believed then, which is history: it takes `trace:` beside each `read:`.
The address carries the moment, so caches of others tell the answers apart by themselves; ours do not
keep them, and the compiled reads leave them to the reference executors, which read the views of
`catalog.past`. Where a value came from and how old it was is not kept for the past: whoever asks for
that as well is refused, not served today's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime

from catalog.entities import Entity
from catalog.past import (
    FutureError,
    NotKnownError,
    Standing,
    TooMuchError,
    in_words,
    knowing,
    known_moment,
    standing,
)
from hub import listing
from hub.auth.rights import READ, TRACE, Needs
from hub.problems import BadInputError, NotFoundError, RequestError

#: The parameter of an address, and the header of its answer.
PARAMETER, HEADER = "at", "Headwater-At"


#: Without seconds, as people write it.
_SHORT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(Z|[+ -]\d\d:\d\d)")


class UnknownThenError(RequestError):
    """History does not reach back to the moment."""

    code = "not_known_then"
    http_status = 404


class TooMuchPastError(RequestError):
    """Too many records would have to be rebuilt."""

    code = "too_much_past"
    http_status = 400


def moment_of(text: str | None) -> datetime | None:
    """The moment that is asked for; None where it is now. Raises BadInputError."""
    if text is None:
        return None
    if _SHORT.fullmatch(text):
        text = f"{text[:16]}:00{text[16:]}"
    try:
        return known_moment(listing.moment(text, PARAMETER))
    except FutureError as error:
        raise BadInputError(error.message, parameter=PARAMETER) from error


def of_past(needs: Needs) -> Needs:
    """What a request needs where it asks of the past: to trace all that it reads."""
    read = (scope.partition(":")[2] for scope in needs.scopes if scope.startswith(f"{READ}:"))
    return Needs((*needs.scopes, *(f"{TRACE}:{name}" for name in read)))


def must_not_trace(needs: Needs, parameter: str) -> None:
    """Raises BadInputError where a request of the past also asks where values come from."""
    if any(scope.startswith(f"{TRACE}:") for scope in needs.scopes):
        raise BadInputError(
            "which source record stood behind a value is not kept for the past: leave provenance and"
            f" explanations out, or leave `{PARAMETER}` out; a record's history tells what changed it",
            parameter=parameter,
        )


@contextmanager
def reading(moment: datetime | None) -> Iterator[None]:
    """A block that reads as of the moment, if there is one. Raises RequestError, as the APIs say it."""
    if moment is None:
        yield
        return
    try:
        with knowing(moment):
            yield
    except NotKnownError as error:
        raise UnknownThenError(error.message, parameter=PARAMETER) from error
    except TooMuchError as error:
        raise TooMuchPastError(error.message, parameter=PARAMETER) from error


def must_be_known(errors: Iterable[BaseException | None]) -> None:
    """Raises what the first error of a resolver means, where it is about the past."""
    for error in errors:
        if error is not None and (meant := in_words(error)) is not None:
            raise meant from error


def not_found(
    error: NotFoundError, cls: type[Entity], key: str, moment: datetime | None
) -> NotFoundError:
    """The same, with what is known of the record at the moment."""
    if moment is None or not listing.is_text(key):
        return error
    known = standing(cls, key, moment)
    error.message += f" at {moment.isoformat()}"
    if known.standing is Standing.NOT_YET and known.at is not None:
        error.message += f"; the hub first heard of it at {known.at.isoformat()}"
    elif known.standing is Standing.DELETED and known.at is not None:
        error.message += f"; it was deleted at {known.at.isoformat()}"
    return error


def headers(moment: datetime | None) -> dict[str, str]:
    """What an answer says about the moment that it is of."""
    if moment is None:
        return {}
    return {HEADER: moment.isoformat(), "Cache-Control": "no-store"}
