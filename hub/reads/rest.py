"""REST reads: an address becomes one statement, by way of the pieces that GraphQL is compiled from.

A record, `/api/v1/products/P-1`, and a list, `/api/v1/products?brand=Alpina`, with `locale`,
`market`, `fields` and `include`. All else, and whatever is wrong, is left to the views, which say how
it is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

from catalog.entities import Entity, entities
from hub import degraded, listing
from hub.auth.rights import Rights
from hub.negotiation import Wishes, content_language, market
from hub.problems import BadInputError, ForbiddenError
from hub.reads import fallbacks
from hub.reads.arguments import Asked
from hub.reads.compile_filters import plain
from hub.reads.compile_filters import shape as filter_shape
from hub.reads.compile_rest import Wanted, compiled
from hub.reads.compile_roots import chain
from hub.reads.execute import Runner
from hub.reads.needs import of_records
from hub.reads.reasons import LeftToGrapheneError, NotCompiledError
from hub.reads.statement import Statement
from hub.sparse import EVERYTHING, fields_of
from hub.usage import noted
from hub.use_limits import use_of

PREFIX = "/api/v1/"
INCLUDES = {"provenance", "parts"}
OF_RECORD = frozenset({"locale", "include", "fields"})
MOST_STATEMENTS = 512
LONGEST_QUERY = 2000


@dataclass(frozen=True, slots=True)
class Address:
    """What an address names: an entity's record, or its list where `key` is None."""

    cls: type[Entity]
    key: str | None
    query: Mapping[str, str]


_statements: dict[tuple[Any, ...], Statement] = {}
_covered: set[tuple[type[Entity], Wanted, str]] = set()


def answered(
    address: Address, runner: Runner, *, rights: Rights, wishes: Wishes, use: str | None = None
) -> bytes | None:
    """The body of an answer of status 200; None where the views have to answer."""
    cls, many, visibility = address.cls, address.key is None, rights.visibility
    try:
        wanted, asked = _wanted(address), _asked(address, wishes)
        listing.must_see(visibility, cls, asked.filters)
        _permit(cls, wanted, rights)
        shape = (bool(asked.market), asked.after is not None, filter_shape(cls, asked.filters))
        key = (cls, many, wanted, visibility.name, shape)
        statement = _statements.get(key)
        if statement is None:
            statement = compiled(cls, asked, wanted, visibility, many=many)
            if len(_statements) >= MOST_STATEMENTS:
                _statements.clear()
            _statements[key] = statement
        declared = use_of(use)
        if declared is not None and not declared.safe(statement.uses.fields):
            return None
        noted.uses(statement.uses)
        body = runner(statement, [read(asked) for _, read in statement.binders])[0]
        if body is None:
            return None
        return degraded.with_header(
            body, degraded.header(degraded.affecting(statement.uses.fields))
        )
    except NotCompiledError as error:
        fallbacks.count(f"GET {PREFIX}{cls.declaration.plural}", None, error.reason)
        return None
    except (LeftToGrapheneError, BadInputError, ForbiddenError):
        return None


def _permit(cls: type[Entity], wanted: Wanted, rights: Rights) -> None:
    """Whose rights cover a representation is looked up once. Raises ForbiddenError."""
    known = (cls, wanted, rights.name)
    if known in _covered:
        return
    needed = of_records(cls, parts=wanted.parts, provenance=wanted.provenance, fields=wanted.fields)
    rights.must_cover(needed)
    if len(_covered) >= MOST_STATEMENTS:
        _covered.clear()
    _covered.add(known)


def address_of(path: str, query: str) -> Address | None:
    """What a path names, as `hub.rest.urls` would find; None for all but records and lists."""
    plural, slash, key = path.removeprefix(PREFIX).partition("/")
    cls = _lists().get(plural)
    if cls is None or len(query) > LONGEST_QUERY:
        return None
    # Explanations and histories stand before records, whose keys may hold slashes.
    if slash and (not key or "/explain/" in f"/{key}" or f"/{key}".endswith("/history")):
        return None
    given = dict(parse_qsl(query, keep_blank_values=True)) if query else {}
    known = _of_record(cls) if slash else _of_list(cls)
    return Address(cls, key if slash else None, given) if known.issuperset(given) else None


@lru_cache(maxsize=1)
def _lists() -> dict[str, type[Entity]]:
    return {cls.declaration.plural: cls for cls in entities().values()}


@lru_cache(maxsize=64)
def _of_record(cls: type[Entity]) -> frozenset[str]:
    return OF_RECORD | {"market"} if listing.offers(cls) else OF_RECORD


@lru_cache(maxsize=64)
def _of_list(cls: type[Entity]) -> frozenset[str]:
    return _of_record(cls) | {"limit", "cursor", *listing.filters_of(cls)}


def language(address: Address, wishes: Wishes) -> str:
    """The language tag of an answer. Raises BadInputError."""
    return content_language(_order(address, wishes))


def _order(address: Address, wishes: Wishes) -> tuple[str, ...]:
    return chain(address.query["locale"]) if "locale" in address.query else wishes.order


def _wanted(address: Address) -> Wanted:
    asked = set(address.query["include"].split(",")) if "include" in address.query else set()
    if not asked <= INCLUDES:
        raise LeftToGrapheneError
    parts = address.key is not None or "parts" in asked
    sparse = address.query.get("fields")
    fields = EVERYTHING if sparse is None else fields_of(address.cls, sparse)
    return Wanted(parts=parts, provenance="provenance" in asked, fields=fields)


def _asked(address: Address, wishes: Wishes) -> Asked:
    query = address.query
    asked = Asked(order=_order(address, wishes))
    if listing.offers(address.cls):
        asked.market = market(query.get("market"), wishes.market) or ""
    if address.key is not None:
        asked.key = plain(address.key)
        return asked
    limit = query.get("limit", str(listing.USUAL))
    plain_number = limit.isascii() and limit.isdigit() and len(limit) <= 9
    if not plain_number or not 1 <= int(limit) <= listing.LARGEST:
        raise LeftToGrapheneError
    asked.size = int(limit)
    if "cursor" in query:
        asked.after = listing.opened(query["cursor"], "cursor")
    for name in listing.filters_of(address.cls):
        if name in query:
            asked.filters[name] = _filter(address.cls, name, query[name])
    return asked


def _filter(cls: type[Entity], name: str, text: str) -> Any:
    value = plain(text)
    if name == listing.CHANGED_SINCE:
        return listing.moment(value)
    return listing.yes(value, name) if listing.is_switch(cls, name) else value
