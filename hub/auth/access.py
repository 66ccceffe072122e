"""Who asks, and whether they may: for requests in front of Django and inside it alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from django.http import HttpRequest

from catalog.entities import INTERNAL, PERSONAL, entities
from catalog.masking import SEE
from hub import negotiation
from hub.auth import audited, quota, tokens
from hub.auth.keys import PREFIX, lately_recognised, presented
from hub.auth.readers import Reader
from hub.auth.rights import (
    CLASS,
    COMMANDS,
    EVERYTHING,
    INTROSPECT,
    READ,
    TRACE,
    Rights,
    rights_of,
)
from hub.problems import NO_KEY, TooManyRequestsError, UnauthorizedError
from observability.audit import Outcome

CHALLENGE = {"WWW-Authenticate": 'Bearer realm="headwater"'}
#: Where a request keeps who asks, and what is left of the rate limit, once either is known.
READER, STANDING = "headwater.reader", "headwater.standing"


def holder_of(credentials: str) -> Reader | None:
    """The holder of a key or a token, as lately known."""
    if credentials.startswith(PREFIX):
        return lately_recognised(credentials)
    return tokens.lately_verified(credentials)


def counted(environ: dict[str, Any], reader: Reader) -> bool:
    """Count the request against its reader's limit; False where that is spent."""
    environ[READER] = reader
    if reader.per_minute is None:
        return True
    environ[STANDING] = standing = quota.take(reader.holder, reader.per_minute)
    return not standing.wait


def reader_of(request: HttpRequest) -> Reader:
    """Who asks, counted once. Raises UnauthorizedError or TooManyRequestsError."""
    if READER not in request.META:
        reader = _recognised(request)
        if reader is None:
            raise UnauthorizedError(NO_KEY, headers=CHALLENGE)
        counted(request.META, reader)
    standing = request.META.get(STANDING)
    if standing is not None and standing.wait:
        raise TooManyRequestsError(
            f"{standing.quota} requests a minute are allowed; try again in {standing.wait} s",
            headers={"Retry-After": str(standing.wait)},
        )
    found: Reader = request.META[READER]
    return found


def wishes_of(request: HttpRequest) -> negotiation.Wishes:
    """What the headers of a request wish."""
    return negotiation.wishes(request.META)


def answer_headers(environ: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the answer says about the rate limit; nothing where there is none."""
    standing = environ.get(STANDING)
    return standing.headers() if standing is not None else []


def _recognised(request: HttpRequest) -> Reader | None:
    if credentials := presented(request.META):
        return holder_of(credentials)
    user = getattr(request, "user", None)
    if user is not None and user.is_staff and _same_origin(request):
        if user.has_perm(SEE):
            # What is asked here is not known yet; that it may hold personal data is.
            audited.entry(request, "ask the API", outcome=Outcome.DONE)
        return Reader(
            f"user {user.get_username()}", f"user:{user.pk}", _of_person(user), person=True
        )
    return None


def _of_person(user: Any) -> Rights:
    """What somebody may see in the admin, they may ask for: no less and no more.

    Records are changed by no page of the admin, so only who may do everything may write.
    """
    if user.is_superuser:
        return rights_of(tuple(EVERYTHING))
    scopes = [INTROSPECT, f"{CLASS}:{INTERNAL.field_class}"]
    if user.has_perm(SEE):
        scopes.append(f"{CLASS}:{PERSONAL.field_class}")
    for name, cls in entities().items():
        if user.has_perm(f"{cls._meta.app_label}.view_{cls._meta.model_name}"):
            scopes += [f"{READ}:{name}", f"{TRACE}:{name}"]
    if user.has_perm("connectors.view_command"):
        scopes.append(COMMANDS)
    return rights_of(tuple(scopes))


def _same_origin(request: HttpRequest) -> bool:
    """A browser says where a script's request comes from; another site's does not count."""
    origin = request.headers.get("Origin")
    return origin is None or urlsplit(origin).netloc == request.get_host()
