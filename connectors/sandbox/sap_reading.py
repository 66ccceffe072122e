"""Reading a SAP entity set: `$filter`, `$orderby`, server-driven pages, `$select` and `$expand`.

Reads in key order or in order of change, with or without a lower bound of the change time, cost
their page and not the set; any other filter or order reads the whole set, as a database would.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any
from urllib.parse import urlencode

import orjson

from connectors.sandbox import faults
from connectors.sandbox import sap_documents as documents
from connectors.sandbox.sap_documents import EntitySet
from connectors.sandbox.sap_errors import SapError
from connectors.sandbox.sap_filter import BadFilter, Term, parse
from connectors.sandbox.sap_sales import condition_records
from connectors.sandbox.store import Document
from connectors.sandbox.wire import Request

SYSTEM = "sap"
ROOT = "/sap/opu/odata/sap/"
PAGE = 1000
_A_DAY_MS = 86_400_000
_CHANGED = {"LastChangeDateTime", "LastChangeDate"}
_CHUNK = 2000


class BadQuery(ValueError):
    """A query option that cannot be read; the message names it."""


@dataclass(frozen=True)
class Query:
    """What is asked of a set. `since`: the change time from which on, in milliseconds."""

    terms: list[Term]
    since: int | None
    rest: list[Term]  # the terms that `since` does not stand for
    order: list[tuple[str, bool]]  # (property, descending); empty: by key
    by_change: bool


def page(request: Request, one: EntitySet) -> Document:
    """The `d` of a collection: results, and where asked `__count` and `__next`."""
    query, options = _query(request, one), request.query
    top = _number(options, "$top")
    token = _number(options, "$skiptoken")
    skip = token if token is not None else _number(options, "$skip") or 0
    limit = PAGE if top is None else min(top, PAGE)
    spoiled = faults.paging(SYSTEM)
    if spoiled == "stuck_cursor":
        skip = 0  # whatever the caller asks for, it is the first page again
    elif spoiled == "overlapping_pages" and skip:
        skip = max(0, skip - faults.overlap(limit))
    rows = _rows(request, one, query, skip, limit + 1)
    more, rows = len(rows) > limit, rows[:limit]
    body: Document = {"results": faults.transform(SYSTEM, [shaped(request, one, r) for r in rows])}
    if options.get("$inlinecount") == "allpages":
        body["__count"] = str(_total(request, one, query))
    if more and (top is None or top > PAGE):
        kept = {k: v for k, v in options.items() if k not in ("$skiptoken", "$skip")}
        if top is not None:
            kept["$top"] = str(top - limit)
        kept["$skiptoken"] = str(skip + (0 if spoiled == "stuck_cursor" else limit))
        body["__next"] = f"{request.base_url}{request.path}?{urlencode(kept)}"
    return body


def total(request: Request, one: EntitySet) -> int:
    """How many records the filter leaves: `$count`."""
    return _total(request, one, _query(request, one))


def shaped(request: Request, one: EntitySet, record: Document) -> Document:
    """As `$select` and `$expand` want it, with metadata; what is not expanded is deferred."""
    expand = set(filter(None, request.query.get("$expand", "").split(",")))
    select = set(filter(None, request.query.get("$select", "").split(",")))
    uri = f"{request.base_url}{ROOT}{one.service}/{one.name}({_key_predicate(one, record)})"
    body: Document = {"__metadata": {"id": uri, "uri": uri, "type": f"{one.service}.{one.kind}"}}
    for name, value in record.items():
        if name not in one.expands and (not select or name in select):
            body[name] = value
    for name in one.expands:
        if name in expand:
            body[name] = linked(request, record, name)
        elif not select or name in select:
            body[name] = {"__deferred": {"uri": f"{uri}/{name}"}}
    return body


def linked(request: Request, record: Document, link: str) -> Any:
    """The other end of a navigation property."""
    if link == "to_Description":
        return {"results": documents.descriptions(request.world, record)}
    return record[link]


def named_key(text: str) -> dict[str, str]:
    """The members of `(A='x',B='y')`; empty for `('x')`."""
    found = re.findall(r"(\w+)=(?:datetime)?'((?:[^']|'')*)'", text)
    return {name: value.replace("''", "'") for name, value in found}


def etag(record: Document) -> str:
    return f'W/"{hashlib.sha256(orjson.dumps(record)).hexdigest()[:24]}"'


def check_match(request: Request, record: Document) -> None:
    """Whoever changes a record says which state of it was read."""
    match = request.headers.get("If-Match")
    if match is None:
        raise SapError(428, "/IWBEP/CM_MGW_RT/079", "Precondition required: send If-Match")
    if match not in ("*", etag(record)):
        raise SapError(412, "/IWBEP/CM_MGW_RT/078", "Precondition failed: the record has changed")


def _key_predicate(one: EntitySet, record: Document) -> str:
    if len(one.keys) == 1:
        return f"'{record[one.keys[0]]}'"
    return ",".join(
        f"{name}=datetime'9999-12-31T00:00:00'"
        if record[name] == documents.FOREVER
        else f"{name}='{record[name]}'"
        for name in one.keys
    )


def _query(request: Request, one: EntitySet) -> Query:
    options = request.query
    try:
        terms = parse(options.get("$filter", ""))
    except BadFilter as error:
        raise BadQuery(f"Invalid $filter: {error}") from error
    order: list[tuple[str, bool]] = []
    for part in filter(None, options.get("$orderby", "").split(",")):
        name, _, direction = part.strip().partition(" ")
        order.append((name, direction.strip() == "desc"))
    select = [name for name in options.get("$select", "").split(",") if name]
    expand = [name for name in options.get("$expand", "").split(",") if name]
    for name in [t.name for t in terms] + [name for name, _ in order]:
        if name not in one.properties:
            raise BadQuery(f"Property '{name}' not found in type '{one.kind}'")
    for name in select:
        if name not in one.properties and name not in one.expands:
            raise BadQuery(f"Invalid $select: '{name}' not found in type '{one.kind}'")
    for name in expand:
        if name not in one.expands:
            raise BadQuery(f"Invalid $expand: '{name}' not found in type '{one.kind}'")
    bound = next((t for t in terms if t.name in _CHANGED and t.op in ("ge", "gt")), None)
    step = _A_DAY_MS if bound and bound.name == "LastChangeDate" else 1
    keys = [(name, False) for name in one.keys]
    return Query(
        terms=terms,
        since=bound.value + step * (bound.op == "gt") if bound else None,
        rest=[t for t in terms if t is not bound],
        order=[] if order == keys[: len(order)] else order,
        by_change=bool(order) and order[0][0] in _CHANGED and not order[0][1],
    )


def _number(options: dict[str, str], name: str) -> int | None:
    text = options.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()):
        raise BadQuery(f"Invalid system query option: {name} must be a whole number, not '{text}'")
    return int(text)


def _rows(request: Request, one: EntitySet, query: Query, skip: int, limit: int) -> list[Document]:
    known = _known(request, one, query)
    if known is None and not query.rest and query.by_change:
        scanned = request.store.scan(
            SYSTEM, one.name, changed_from_ms=query.since, offset=skip, limit=limit
        )
        return [row.doc for row in scanned]
    if known is None and not query.rest and not query.order:
        return request.store.page(
            SYSTEM, one.name, offset=skip, limit=limit, changed_from_ms=query.since
        )
    found = _matching(request, one, query, known)
    if query.order:
        ordered = list(found)
        for name, descending in reversed(query.order):
            ordered.sort(key=lambda record: _sortable(record[name]), reverse=descending)
        return ordered[skip : skip + limit]
    return list(islice(found, skip, skip + limit))


def _sortable(value: Any) -> Any:
    if isinstance(value, str) and value.startswith("/Date("):
        return int(value[6:].split("+")[0].rstrip(")/"))
    return value


def _total(request: Request, one: EntitySet, query: Query) -> int:
    known = _known(request, one, query)
    if known is None and not query.rest:
        return request.store.count(SYSTEM, one.name, changed_from_ms=query.since)
    return sum(1 for _ in _matching(request, one, query, known))


def _matching(
    request: Request, one: EntitySet, query: Query, known: list[str] | None
) -> Iterator[Document]:
    """Records that every term holds for, in key order."""
    store = request.store
    if known is not None:
        candidates = (store.get(SYSTEM, one.name, key) for key in known)
        yield from (r for r in candidates if r is not None and all(t.holds(r) for t in query.terms))
        return
    offset = 0
    while chunk := store.page(
        SYSTEM, one.name, offset=offset, limit=_CHUNK, changed_from_ms=query.since
    ):
        yield from (r for r in chunk if all(t.holds(r) for t in query.terms))
        offset += len(chunk)


def _known(request: Request, one: EntitySet, query: Query) -> list[str] | None:
    """The keys that equalities on key members or on the material lead to."""
    exact = {t.name: t.value for t in query.terms if t.op == "eq" and isinstance(t.value, str)}
    if one.name == "CreditManagementAccount" and one.keys[0] in exact:
        return [f"{exact[one.keys[0]]}/{documents.CREDIT_SEGMENT}"]
    if one.keys[0] in exact and one.name != "A_MatlStkInAcctMod":
        return [exact[one.keys[0]]]
    if exact.get("PurchaseOrderByCustomer"):
        # No order of the first day has a reference: those that have one were made since.
        return [key for key, _ in request.store.overlay(SYSTEM, one.name)]
    material = exact.get("Material")
    if material is None:
        return None
    if one.name == "A_MatlStkInAcctMod":
        plants = [exact["Plant"]] if "Plant" in exact else list(documents.PLANTS)
        return [f"{material}/{plant}" for plant in plants]
    return [record["ConditionRecord"] for record in condition_records(request, material)]
