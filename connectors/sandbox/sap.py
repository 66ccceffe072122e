"""Simulated SAP S/4HANA: OData V2 services under `/sap/opu/odata/sap/`."""

from __future__ import annotations

import base64
import re
import secrets
import time
import uuid
from collections.abc import Callable

import orjson

from connectors.sandbox import faults, sap_orders
from connectors.sandbox import sap_documents as documents
from connectors.sandbox import sap_reading as reading
from connectors.sandbox.sap_documents import BY_NAME, STORED, EntitySet
from connectors.sandbox.sap_errors import SapError, bad, missing
from connectors.sandbox.signing import standard_webhook
from connectors.sandbox.store import Change, Collection, Document, Store
from connectors.sandbox.wire import Handler, Request, Response, Route
from connectors.sandbox.world import World

__all__ = ["ERROR", "REVOKE", "ROUTES", "SYSTEM", "WEBHOOK", "register"]

SYSTEM = "sap"
ROOT = "/sap/opu/odata/sap/"
_BASIC = "Basic " + base64.b64encode(b"HEADWATER:sandbox-sap").decode()


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
        "CreditManagementAccount": (
            world.n_customers,
            lambda k: f"{10000001 + k}/{documents.CREDIT_SEGMENT}",
            lambda key: (
                world.customer_index(key[:-5])
                if key.endswith(f"/{documents.CREDIT_SEGMENT}")
                else None
            ),
            documents.credit_account,
            lambda k: world.customer(k).updated_ms,
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
        except reading.BadQuery as error:
            response = bad(str(error)).response()
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
        raise missing(request.match["set"])
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
    return Response(200, {"d": reading.page(request, _set(request))})


def _count(request: Request) -> Response:
    return Response(200, str(reading.total(request, _set(request))))


def _record(request: Request) -> tuple[EntitySet, Document]:
    one = _set(request)
    record = request.store.get(SYSTEM, one.name, _key(request, one))
    if record is None:
        raise missing(one.kind)
    return one, record


def _one(request: Request) -> Response:
    one, record = _record(request)
    shaped = faults.transform(SYSTEM, [reading.shaped(request, one, record)])[0]
    return Response(200, {"d": shaped}, {"ETag": reading.etag(record)})


def _navigated(request: Request) -> Response:
    """What a `__deferred` link leads to."""
    one, record = _record(request)
    link = request.match["link"]
    if link not in one.expands:
        raise missing(link)
    return Response(200, {"d": reading.linked(request, record, link)})


def _key(request: Request, one: EntitySet) -> str:
    """The store's key out of `('x')` or `(A='x',B='y')`."""
    text = request.match["key"]
    named = reading.named_key(text)
    if not named:
        return text.strip("'").replace("''", "'")
    if one.name in ("A_MatlStkInAcctMod", "CreditManagementAccount"):
        return "/".join(named.get(name, "") for name in one.keys)
    return named.get(one.keys[0], "")


# --- writing --------------------------------------------------------------------------------------


def _with_token(handler: Handler) -> Handler:
    """Writing needs the CSRF token of the session."""

    def answer(request: Request) -> Response:
        cookie = re.search(r"SAP_SESSIONID_S4H_100=(\w+)", request.headers.get("Cookie", ""))
        token = request.store.memory(SYSTEM).get(cookie[1]) if cookie else None
        if token is None or request.headers.get("X-CSRF-Token") != token:
            raise SapError(403, "403", "CSRF token validation failed", x_csrf_token="Required")  # noqa: S106
        return handler(request)

    return answer


def _change(request: Request) -> Response:
    """PATCH or MERGE of a record; needs its ETag."""
    one, record = _record(request)
    reading.check_match(request, record)
    given = request.json()
    if not isinstance(given, dict):
        raise reading.BadQuery("the body must be an object")
    unknown = set(given) - set(one.properties) - set(one.expands)
    if unknown:
        raise bad(f"Property '{min(unknown)}' is invalid")
    request.store.patch(SYSTEM, one.name, _key(request, one), given)
    return Response(204)


# --- events ---------------------------------------------------------------------------------------

_EVENTS = {
    "A_Product": ("sap.s4.beh.product.v1.Product", ("Product",)),
    "A_BusinessPartner": ("sap.s4.beh.businesspartner.v1.BusinessPartner", ("BusinessPartner",)),
    "A_SalesOrder": ("sap.s4.beh.salesorder.v1.SalesOrder", ("SalesOrder",)),
    "A_SlsPrcgCndnRecdValidity": (
        "sap.s4.beh.slspricingconditionrecord.v1.SlsPrcgConditionRecord",
        ("ConditionRecord",),
    ),
    "A_MatlStkInAcctMod": ("sap.s4.beh.materialstock.v1.MaterialStock", ("Material", "Plant")),
}


def WEBHOOK(change: Change) -> tuple[dict[str, str], bytes] | None:
    """A CloudEvent that carries keys only, as S/4HANA's business events do."""
    if change.collection not in _EVENTS:
        return None  # credit management tells nobody
    kind, members = _EVENTS[change.collection]
    action = {"created": "Created", "updated": "Changed", "deleted": "Deleted"}[change.kind]
    event = {
        "specversion": "1.0",
        "type": f"{kind}.{action}.v1",
        "source": "/default/sap.s4.beh/S4H100",
        "id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"sap:{change.at_ms}")),
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(change.at_ms / 1000)),
        "datacontenttype": "application/json",
        "data": dict(zip(members, change.key.split("/"), strict=True)),
    }
    body = orjson.dumps(event)
    headers = {"Content-Type": "application/cloudevents+json"}
    return headers | standard_webhook(str(event["id"]), int(time.time()), body), body


_SERVICE = ROOT + r"(?P<service>API_\w+)"
_ENTITY = _SERVICE + r"/(?P<set>\w+)\((?P<key>.+)\)"
_ORDERS = ROOT + r"(?P<service>API_SALES_ORDER_SRV)/"
_ITEM = _ORDERS + r"A_SalesOrderItem\((?P<key>[^/]+)\)"
ROUTES: list[Route] = [
    ("GET", re.compile(_SERVICE + r"/\$metadata"), _guarded(_metadata)),
    ("GET", re.compile(_SERVICE + r"/?"), _guarded(_service)),
    ("GET", re.compile(_SERVICE + r"/(?P<set>\w+)"), _guarded(_collection)),
    ("GET", re.compile(_SERVICE + r"/(?P<set>\w+)/\$count"), _guarded(_count)),
    ("POST", re.compile(_ORDERS + r"A_SalesOrder"), _guarded(_with_token(sap_orders.create))),
    ("GET", re.compile(_ITEM), _guarded(sap_orders.read_item)),
    ("PATCH", re.compile(_ITEM), _guarded(_with_token(sap_orders.change_item))),
    ("MERGE", re.compile(_ITEM), _guarded(_with_token(sap_orders.change_item))),
    ("GET", re.compile(_ENTITY), _guarded(_one)),
    ("GET", re.compile(_ENTITY + r"/(?P<link>\w+)"), _guarded(_navigated)),
    ("PATCH", re.compile(_ENTITY), _guarded(_with_token(_change))),
    ("MERGE", re.compile(_ENTITY), _guarded(_with_token(_change))),
]
