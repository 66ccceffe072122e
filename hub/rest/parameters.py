"""Query parameters: how OpenAPI describes them, and how they are read."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request

from catalog.entities import Entity
from hub import listing, locales, negotiation, past, use_limits
from hub.auth.access import wishes_of
from hub.problems import BadInputError
from hub.reads import needs
from hub.rest.access import rights
from hub.rest.represent import Wanted
from hub.sparse import EVERYTHING, fields_of

INCLUDES = ("provenance", "parts")
LOCALE = OpenApiParameter(
    "locale",
    {"type": "string", "enum": locales.spellings()},
    description="Before `Accept-Language`. A text that lacks it is served in one that stands in for "
    "it; `locales` says which.",
)
MARKET = OpenApiParameter(
    "market",
    {"type": "string", "enum": [*settings.HEADWATER_MARKETS, negotiation.ALL_MARKETS]},
    description="Narrows offers to a market; `all` does not. Before the country that an edge says.",
)
INCLUDE = OpenApiParameter(
    "include",
    {"type": "array", "items": {"type": "string", "enum": list(INCLUDES)}},
    style="form",
    explode=False,
    description="Comma-separated. A single record has its parts anyway.",
)
FIELDS = OpenApiParameter(
    "fields",
    {"type": "array", "items": {"type": "string"}},
    style="form",
    explode=False,
    description="Comma-separated: these members alone, `slug,name,category.code`. One that has "
    "members of its own comes with all of them, unless some are named. `include=provenance` adds "
    "to them.",
)
LIMIT = OpenApiParameter(
    "limit",
    {"type": "integer", "minimum": 1, "maximum": listing.LARGEST, "default": listing.USUAL},
)
CURSOR = OpenApiParameter("cursor", str, description="`next` of the page before.")
USE = OpenApiParameter(
    use_limits.HEADER,
    str,
    "header",
    description="What the answer is for, for example `checkout`. Where a value is older than that use "
    "takes it, the answer is a problem of status 503, code `too_old`.",
)
MOMENT = {"type": "string", "format": "date-time"}
AT = OpenApiParameter(
    past.PARAMETER,
    MOMENT,
    description="As the hub knew it at that moment. Takes `trace:` of all that is read; slower than"
    " now, and without provenance.",
)


def of_list(cls: type[Entity]) -> list[OpenApiParameter]:
    """The parameters of an entity's list."""
    return [
        LIMIT,
        CURSOR,
        LOCALE,
        *_market(cls),
        FIELDS,
        INCLUDE,
        AT,
        USE,
        *(_filter(cls, n) for n in listing.filters_of(cls)),
    ]


def of_record(cls: type[Entity]) -> list[OpenApiParameter]:
    """The parameters of one record."""
    return [key(cls), LOCALE, *_market(cls), FIELDS, INCLUDE, AT, USE]


def _market(cls: type[Entity]) -> list[OpenApiParameter]:
    return [MARKET] if listing.offers(cls) else []


def key(cls: type[Entity]) -> OpenApiParameter:
    """The natural key in the address; a slash in it may be percent-encoded or not."""
    name = cls.declaration.name.replace("_", " ")
    return OpenApiParameter(
        cls.declaration.key, str, "path", description=f"Natural key of the {name}."
    )


def refuse_unknown(request: Request, known: list[OpenApiParameter]) -> None:
    """A parameter that nobody reads is a mistake of the sender's: say so."""
    names = {parameter.name for parameter in known if parameter.location == "query"}
    for name in request.query_params:
        if name not in names:
            listed = ", ".join(sorted(names)) or "none"
            raise BadInputError(
                f"unknown parameter {listing.shown(name)}; known are {listed}", parameter=name
            )


def wanted(request: Request, cls: type[Entity], *, parts: bool = False) -> Wanted:
    """What of the records is asked for. Raises BadInputError, or ForbiddenError."""
    text = request.query_params.get("include")
    asked = set() if text is None else set(text.split(","))
    if unknown := asked - set(INCLUDES):
        raise BadInputError(
            f"cannot include {listing.shown(', '.join(sorted(unknown)))}; "
            f"known are {', '.join(INCLUDES)}",
            parameter="include",
        )
    wishes, query, granted = wishes_of(request._request), request.query_params, rights(request)
    sparse = query.get("fields")
    found = Wanted(
        locales.chain(query["locale"]) if "locale" in query else wishes.order,
        parts=parts or "parts" in asked,
        provenance="provenance" in asked,
        market=negotiation.market(query.get("market"), wishes.market)
        if listing.offers(cls)
        else None,
        visibility=granted.visibility,
        fields=EVERYTHING if sparse is None else fields_of(cls, sparse),
    )
    needed = needs.of_records(
        cls, parts=found.parts, provenance=found.provenance, fields=found.fields
    )
    if past.PARAMETER in query:
        past.must_not_trace(needed, "include")
        if use_limits.HEADER in request.headers:
            raise BadInputError(
                f"an answer of the past has no age: send no {use_limits.HEADER} with it",
                parameter=use_limits.HEADER,
            )
        needed = past.of_past(needed)
    granted.must_cover(needed)
    return found


def limit(request: Request) -> int | None:
    """How many records a page may have. Raises BadInputError."""
    text = request.query_params.get("limit")
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise BadInputError(
            f"limit must be a whole number from 1 to {listing.LARGEST}, not {listing.shown(text)}",
            parameter="limit",
        )
    return int(text)


def _filter(cls: type[Entity], name: str) -> OpenApiParameter:
    if name == listing.CHANGED_SINCE:
        said = "Records with a value that changed at or after this time."
        return OpenApiParameter(name, MOMENT, description=said)
    if listing.is_switch(cls, name):
        return OpenApiParameter(name, bool)
    field: Any = cls._meta.get_field(name)
    return OpenApiParameter(name, int if isinstance(field, models.IntegerField) else str)
