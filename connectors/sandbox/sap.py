"""Simulated SAP S/4HANA: OData V2 services under `/sap/opu/odata/sap/`."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
import time
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import orjson

from connectors.sandbox import faults
from connectors.sandbox import sap_documents as documents
from connectors.sandbox.sap_documents import BY_NAME, STORED, EntitySet
from connectors.sandbox.sap_filter import BadFilter, Term, parse
from connectors.sandbox.signing import standard_webhook
from connectors.sandbox.store import Change, Collection, Document, Store
from connectors.sandbox.wire import Handler, Request, Response, Route
from connectors.sandbox.world import World

__all__ = ["ERROR", "REVOKE", "ROUTES", "SYSTEM", "WEBHOOK", "register"]

SYSTEM = "sap"
ROOT = "/sap/opu/odata/sap/"
PAGE = 1000
_BASIC = "Basic " + base64.b64encode(b"HEADWATER:sandbox-sap").decode()
_CHANGED = {"LastChangeDateTime", "LastChangeDate"}


class SapError(Exception):
    """An error in the Gateway's JSON form."""

    def __init__(self, status: int, code: str, text: str, **headers: str) -> None:
        super().__init__(text)
        self.status, self.code, self.text = status, code, text
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def response(self) -> Response:
        body = {"error": {"code": self.code, "message": {"lang": "en", "value": self.text}}}
        return Response(self.status, body, self.headers)


def register(store: Store, world: World) -> None:
    variants = world.variant_count()

    def by_variant(j: int) -> int:
        return world.product_updated_ms(world.variant(j)[0])

    def number(text: str) -> int | None:
        return int(text) - 1 if len(text) == 10 and text.isdecimal() else None

    def shelf(key: str) -> int | None:
        sku, _, plant = key.partition("/")
        j = world.variant_index(sku)
        return (
            None
            if j is None or plant not in documents.PLANTS
            else j * 2 + documents.PLANTS.index(plant)
        )

    build = {
        "A_Product": (variants, world.sku, world.variant_index, documents.product, by_variant),
        "A_BusinessPartner": (
            world.n_customers,
            lambda k: f"{10000001 + k}",
            world.customer_index,
            documents.partner,
            lambda k: world.customer(k).updated_ms,
        ),
        "A_SlsPrcgCndnRecdValidity": (
            variants * 2,
            lambda n: f"{n + 1:010d}",
            number,
            documents.price,
            lambda n: by_variant(n // 2),
        ),
        "A_SalesOrder": (
            world.n_orders,
            lambda o: f"{o + 1:010d}",
            world.order_index,
            documents.order,
            world.order_placed_ms,
        ),
        "A_MatlStkInAcctMod": (
            variants * 2,
            lambda n: f"{world.sku(n // 2)}/{documents.PLANTS[n % 2]}",
            shelf,
            documents.stock,
            lambda n: by_variant(n // 2),
        ),
    }
    for name in STORED:
        size, key, index, document, changed_ms = build[name]
        store.register(
            Collection(
                SYSTEM,
                name,
                size,
                key=key,
                index=index,
                changed_ms=changed_ms,
                build=_built(document, world),
                stamp=documents.stamp(name),
            )
        )


def _built(document: Callable[[World, int], Document], world: World) -> Callable[[int], Document]:
    return lambda index: document(world, index)


def REVOKE(store: Store) -> None:
    store.memory(SYSTEM).clear()


def ERROR(request: Request, status: int, message: str) -> Response:  # noqa: ARG001 (the vendors' common form)
    """Scripted faults; what stands before the Gateway answers 5xx in HTML."""
    if status >= 500:
        page = (
            f"<html><head><title>{status} Service Unavailable</title></head><body><h1>{status}"
            " Service Unavailable</h1><p>The application server is in maintenance.</p></body></html>"
        )
        return Response(status, page.encode(), {"Content-Type": "text/html; charset=utf-8"})
    headers = {"WWW_Authenticate": 'Basic realm="SAP NetWeaver Application Server"'}
    return SapError(
        status, "HTTP/" + str(status), message, **(headers if status == 401 else {})
    ).response()


# --- reading --------------------------------------------------------------------------------------


def _guarded(handler: Handler) -> Handler:
    def answer(request: Request) -> Response:
        if request.headers.get("Authorization") != _BASIC:
            return ERROR(request, 401, "Logon failed")
        try:
            response = handler(request)
        except SapError as refusal:
            response = refusal.response()
        except BadFilter as error:
            response = SapError(
                400, "005056A509B11EE1B9A8FEC11C21D78E", f"Invalid $filter: {error}"
            ).response()
        if request.headers.get("X-CSRF-Token", "").lower() == "fetch":
            token = secrets.token_urlsafe(18)
            session = secrets.token_hex(12)
            request.store.memory(SYSTEM)[session] = token
            response.headers["X-CSRF-Token"] = token
            response.headers["Set-Cookie"] = f"SAP_SESSIONID_S4H_100={session}; path=/; HttpOnly"
        response.headers.setdefault("DataServiceVersion", "2.0")
        return response

    return answer


def _set(request: Request) -> EntitySet:
    one = BY_NAME.get(request.match["set"])
    if one is None or one.service != request.match["service"] or one.name not in STORED:
        raise SapError(
            404, "/IWBEP/CM_MGW_RT/020", f"Resource not found for segment '{request.match['set']}'"
        )
    return one


def _metadata(request: Request) -> Response:
    service = request.match["service"]
    if service not in {s.service for s in documents.SETS}:
        raise SapError(404, "/IWFND/MED/170", f"No service found for namespace, name {service}")
    headers = {"Content-Type": "application/xml; charset=utf-8"}
    return Response(200, documents.edmx(service).encode(), headers)


def _service(request: Request) -> Response:
    service = request.match["service"]
    names = [s.name for s in documents.SETS if s.service == service]
    return Response(200, {"d": {"EntitySets": names}})


def _collection(request: Request) -> Response:
    one, query = _set(request), request.query
    terms = parse(query.get("$filter", ""))
    top = int(query["$top"]) if "$top" in query else None
    token = query.get("$skiptoken")
    skip = int(token) if token else int(query.get("$skip", 0))
    limit = PAGE if top is None else min(top, PAGE)
    rows, total = _rows(request, one, terms, skip, limit + 1)
    more, rows = len(rows) > limit, rows[:limit]
    spoiled = faults.paging(SYSTEM)
    records = faults.transform(SYSTEM, [_shaped(request, one, r) for r in rows])
    body: dict[str, Any] = {"results": records}
    if query.get("$inlinecount") == "allpages":
        body["__count"] = str(total() if callable(total) else total)
    if more and (top is None or top > PAGE):
        step = 0 if spoiled == "stuck_cursor" else limit
        if spoiled == "overlapping_pages":
            step -= faults.overlap(limit)
        kept = {k: v for k, v in query.items() if k not in ("$skiptoken", "$skip")}
        if top is not None:
            kept["$top"] = str(top - limit)
        kept["$skiptoken"] = str(skip + step)
        body["__next"] = f"{request.base_url}{request.path}?{urlencode(kept)}"
    return Response(200, {"d": body})


def _rows(
    request: Request, one: EntitySet, terms: list[Term], skip: int, limit: int
) -> tuple[list[Document], Any]:
    """Records and how many there are in all (or a function that counts them)."""
    store = request.store
    if faults.paging(SYSTEM) == "stuck_cursor":
        skip = 0  # whatever the caller asks for, it is the first page again
    elif faults.paging(SYSTEM) == "overlapping_pages" and skip:
        skip -= faults.overlap(limit - 1)
    by_change = request.query.get("$orderby", "").startswith("LastChange")
    since = next((t for t in terms if t.name in _CHANGED and t.op in ("ge", "gt")), None)
    others = [t for t in terms if t is not since]
    if not others and (since or by_change):
        start = (since.value + (since.op == "gt")) if since else None
        if not by_change:
            rows = store.scan(SYSTEM, one.name, changed_from_ms=start, limit=2**31)
            rows.sort(key=lambda row: row.key)
            return [r.doc for r in rows[skip : skip + limit]], len(rows)
        rows = store.scan(SYSTEM, one.name, changed_from_ms=start, offset=skip, limit=limit)
        if since is None:
            return [r.doc for r in rows], store.count(SYSTEM, one.name)
        return [r.doc for r in rows], lambda: len(
            store.scan(SYSTEM, one.name, changed_from_ms=start, limit=2**31)
        )
    exact = {t.name: t.value for t in others if t.op == "eq"}
    known = _known(request, one, exact)
    if known is not None:
        found = [d for k in known if (d := store.get(SYSTEM, one.name, k)) is not None]
        found = [d for d in found if all(t.holds(d) for t in terms)]
        return found[skip : skip + limit], len(found)
    if not terms:
        return store.page(SYSTEM, one.name, offset=skip, limit=limit), store.count(SYSTEM, one.name)
    found = [
        d
        for d in store.page(SYSTEM, one.name, offset=0, limit=2**31)
        if all(t.holds(d) for t in terms)
    ]
    return found[skip : skip + limit], len(found)


def _known(request: Request, one: EntitySet, exact: dict[str, Any]) -> list[str] | None:
    """The keys that equalities on key members or on the material lead to."""
    if one.keys[0] in exact and one.name != "A_MatlStkInAcctMod":
        return [exact[one.keys[0]]]
    material = exact.get("Material")
    if material is None:
        return None
    if one.name == "A_MatlStkInAcctMod":
        plants = [exact["Plant"]] if "Plant" in exact else list(documents.PLANTS)
        return [f"{material}/{plant}" for plant in plants]
    numbers = [documents.price_number(request.world, material, org) for org in documents.ORGS]
    return [n for n in numbers if n is not None]


def _one(request: Request) -> Response:
    one = _set(request)
    key = _key(request, one)
    record = request.store.get(SYSTEM, one.name, key)
    if record is None:
        raise SapError(404, "/IWBEP/CM_MGW_RT/020", f"Resource not found for segment '{one.kind}'")
    shaped = faults.transform(SYSTEM, [_shaped(request, one, record)])[0]
    return Response(200, {"d": shaped}, {"ETag": _etag(record)})


def _key(request: Request, one: EntitySet) -> str:
    """The store's key out of `('x')` or `(A='x',B='y')`."""
    text = request.match["key"]
    named = dict(re.findall(r"(\w+)=(?:datetime)?'((?:[^']|'')*)'", text))
    if not named:
        return text.strip("'").replace("''", "'")
    if one.name == "A_MatlStkInAcctMod":
        return f"{named.get('Material')}/{named.get('Plant')}"
    return str(named.get(one.keys[0], ""))


def _shaped(request: Request, one: EntitySet, record: Document) -> Document:
    """As `$select` and `$expand` want it, with metadata; what is not expanded is deferred."""
    expand = set(filter(None, request.query.get("$expand", "").split(",")))
    select = set(filter(None, request.query.get("$select", "").split(",")))
    key = "/".join(str(record[k]) for k in one.keys if not str(record[k]).startswith("/Date"))
    uri = f"{request.base_url}{ROOT}{one.service}/{one.name}('{key}')"
    shaped: Document = {"__metadata": {"id": uri, "uri": uri, "type": f"{one.service}.{one.kind}"}}
    for name, value in record.items():
        if name not in one.expands and (not select or name in select):
            shaped[name] = value
    for name in one.expands:
        if name not in expand:
            shaped[name] = {"__deferred": {"uri": f"{uri}/{name}"}}
        elif name == "to_Description":
            shaped[name] = {"results": documents.descriptions(request.world, record)}
        else:
            shaped[name] = record[name]
    return shaped


def _etag(record: Document) -> str:
    return f'W/"{hashlib.sha256(orjson.dumps(record)).hexdigest()[:24]}"'


# --- writing --------------------------------------------------------------------------------------


def _write(request: Request) -> Response:
    """PATCH or MERGE: needs the CSRF token of the session and the record's ETag."""
    cookie = re.search(r"SAP_SESSIONID_S4H_100=(\w+)", request.headers.get("Cookie", ""))
    token = request.store.memory(SYSTEM).get(cookie[1]) if cookie else None
    if token is None or request.headers.get("X-CSRF-Token") != token:
        raise SapError(403, "403", "CSRF token validation failed", x_csrf_token="Required")  # noqa: S106
    one = _set(request)
    key = _key(request, one)
    record = request.store.get(SYSTEM, one.name, key)
    if record is None:
        raise SapError(404, "/IWBEP/CM_MGW_RT/020", f"Resource not found for segment '{one.kind}'")
    match = request.headers.get("If-Match")
    if match is None:
        raise SapError(428, "/IWBEP/CM_MGW_RT/079", "Precondition required: send If-Match")
    if match not in ("*", _etag(record)):
        raise SapError(412, "/IWBEP/CM_MGW_RT/078", "Precondition failed: the record has changed")
    given = request.json()
    unknown = set(given) - set(one.properties) - set(one.expands)
    if unknown:
        raise SapError(
            400, "005056A509B11EE1B9A8FEC11C21D78E", f"Property '{min(unknown)}' is invalid"
        )
    request.store.patch(SYSTEM, one.name, key, given)
    return Response(204)


# --- events ---------------------------------------------------------------------------------------

_EVENTS = {
    "A_Product": ("sap.s4.beh.product.v1.Product", "Product"),
    "A_BusinessPartner": ("sap.s4.beh.businesspartner.v1.BusinessPartner", "BusinessPartner"),
    "A_SalesOrder": ("sap.s4.beh.salesorder.v1.SalesOrder", "SalesOrder"),
    "A_SlsPrcgCndnRecdValidity": (
        "sap.s4.beh.slspricingconditionrecord.v1.SlsPrcgConditionRecord",
        "ConditionRecord",
    ),
    "A_MatlStkInAcctMod": ("sap.s4.beh.materialstock.v1.MaterialStock", "Material"),
}


def WEBHOOK(change: Change) -> tuple[dict[str, str], bytes] | None:
    """A CloudEvent that carries keys only, as S/4HANA's business events do."""
    kind, member = _EVENTS[change.collection]
    action = {"created": "Created", "updated": "Changed", "deleted": "Deleted"}[change.kind]
    event = {
        "specversion": "1.0",
        "type": f"{kind}.{action}.v1",
        "source": "/default/sap.s4.beh/S4H100",
        "id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"sap:{change.at_ms}")),
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(change.at_ms / 1000)),
        "datacontenttype": "application/json",
        "data": {member: change.key},
    }
    body = orjson.dumps(event)
    headers = {"Content-Type": "application/cloudevents+json"}
    return headers | standard_webhook(str(event["id"]), int(time.time()), body), body


_SERVICE = ROOT + r"(?P<service>API_\w+)"
ROUTES: list[Route] = [
    ("GET", re.compile(_SERVICE + r"/\$metadata"), _guarded(_metadata)),
    ("GET", re.compile(_SERVICE + r"/?"), _guarded(_service)),
    ("GET", re.compile(_SERVICE + r"/(?P<set>\w+)"), _guarded(_collection)),
    ("GET", re.compile(_SERVICE + r"/(?P<set>\w+)\((?P<key>.+)\)"), _guarded(_one)),
    ("PATCH", re.compile(_SERVICE + r"/(?P<set>\w+)\((?P<key>.+)\)"), _guarded(_write)),
    ("MERGE", re.compile(_SERVICE + r"/(?P<set>\w+)\((?P<key>.+)\)"), _guarded(_write)),
]
