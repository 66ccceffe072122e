"""Sales orders that are written: API_SALES_ORDER_SRV, deep insert and rejection of items.

Two equal POSTs make two orders: the service has no idempotency of its own. The caller's reference
(`PurchaseOrderByCustomer`) is a field like any other, which may be searched for.
"""

from __future__ import annotations

import time
from decimal import Decimal

from connectors.sandbox import sap_documents as documents
from connectors.sandbox import sap_reading as reading
from connectors.sandbox import sap_sales as sales
from connectors.sandbox.sap_documents import BY_NAME, EntitySet
from connectors.sandbox.sap_errors import bad, missing
from connectors.sandbox.store import Document
from connectors.sandbox.wire import Request, Response

SYSTEM = "sap"
ORDER, ITEM = BY_NAME["A_SalesOrder"], BY_NAME["A_SalesOrderItem"]
_NEEDED = ("SalesOrderType", "SalesOrganization", "DistributionChannel", "OrganizationDivision",
           "SoldToParty")  # fmt: skip
#: `sap:creatable="false"` in the published service: SAP works them out.
_WORKED_OUT = {"TotalNetAmount", "OverallSDProcessStatus", "OverallSDDocumentRejectionSts"}
LONGEST_REFERENCE = 35


def create(request: Request) -> Response:
    """POST A_SalesOrder with `to_Item`."""
    given = _checked(request.json(), ORDER)
    items = [_checked(item, ITEM) for item in sales.many(given.get("to_Item"))]
    absent = [name for name in _NEEDED if not isinstance(given.get(name), str) or not given[name]]
    if absent:
        raise bad(f"Property '{absent[0]}' is missing")
    if set(given) & _WORKED_OUT:
        raise bad(f"Property '{min(set(given) & _WORKED_OUT)}' cannot be created")
    if not items:
        raise bad("Enter at least one item")
    reference = given.get("PurchaseOrderByCustomer") or ""
    if not isinstance(reference, str) or len(reference) > LONGEST_REFERENCE:
        raise bad(f"Property 'PurchaseOrderByCustomer' takes {LONGEST_REFERENCE} characters")
    org, partner = given["SalesOrganization"], given["SoldToParty"]
    sales.check_customer(request, partner, org)
    currency = documents.CURRENCY[org]
    if given.get("TransactionCurrency") not in (None, "", currency):
        raise bad(f"Sales organization {org} has no prices in {given['TransactionCurrency']}")
    nets = [_net(request, item, org) for item in items]
    store, total = request.store, sum(nets, Decimal(0))
    with store.together():
        sales.check_credit(request, partner, total, currency)
        number = _next_number(request)
        now = time.time_ns() // 1_000_000
        order = {
            "SalesOrder": number,
            "SalesOrderType": given["SalesOrderType"],
            "SoldToParty": partner,
            "SalesOrganization": org,
            "DistributionChannel": given["DistributionChannel"],
            "OrganizationDivision": given["OrganizationDivision"],
            "TransactionCurrency": currency,
            "TotalNetAmount": f"{total:.2f}",
            "OverallSDProcessStatus": "A",
            "OverallSDDocumentRejectionSts": "A",
            "PurchaseOrderByCustomer": reference,
            "CreationDate": documents.midnight(now),
            "LastChangeDateTime": documents.moment(now),
            "to_Item": {
                "results": [
                    _line(number, place, item, net, currency)
                    for place, (item, net) in enumerate(zip(items, nets, strict=True), 1)
                ]
            },
        }
        store.put(SYSTEM, ORDER.name, number, order, reference=reference)
        sales.expose(request, partner, total, currency)
    body = reading.shaped(request, ORDER, order)
    body["to_Item"] = {"results": [reading.shaped(request, ITEM, line) for line in _lines(order)]}
    location = {"Location": body["__metadata"]["uri"], "ETag": reading.etag(order)}
    return Response(201, {"d": body}, location)


def read_item(request: Request) -> Response:
    """GET A_SalesOrderItem(…)."""
    order, line = _found(request)
    return Response(200, {"d": reading.shaped(request, ITEM, line)}, {"ETag": reading.etag(order)})


def change_item(request: Request) -> Response:
    """PATCH or MERGE A_SalesOrderItem(…): `SalesDocumentRjcnReason` rejects it, "" takes it back."""
    given = _checked(request.json(), ITEM)
    if set(given) != {"SalesDocumentRjcnReason"} or not isinstance(
        given["SalesDocumentRjcnReason"], str
    ):
        raise bad("Only 'SalesDocumentRjcnReason' of an item can be changed")
    with request.store.together():
        order, line = _found(request)
        reading.check_match(request, order)
        done = order["OverallSDProcessStatus"] == "C"
        if done and order["OverallSDDocumentRejectionSts"] != "C":
            raise bad(f"Sales order {order['SalesOrder']} is completed: no item can change")
        lines = [line | given if one is line else one for one in _lines(order)]
        left = [one for one in lines if not one["SalesDocumentRjcnReason"]]
        before, after = Decimal(order["TotalNetAmount"]), _sum(left)
        changed = order | {
            "to_Item": {"results": lines},
            "TotalNetAmount": f"{after:.2f}",
            "OverallSDProcessStatus": "A" if left else "C",
            "OverallSDDocumentRejectionSts": (
                "C" if not left else "A" if len(left) == len(lines) else "B"
            ),
        }
        request.store.put(SYSTEM, ORDER.name, order["SalesOrder"], changed)
        sales.expose(request, order["SoldToParty"], after - before, order["TransactionCurrency"])
    return Response(204)


def _checked(given: object, one: EntitySet) -> Document:
    if not isinstance(given, dict):
        raise bad("the body must be an object")
    unknown = set(given) - set(one.properties) - set(one.expands) - {"__metadata"}
    if unknown:
        raise bad(f"Property '{min(unknown)}' is invalid")
    return given


def _net(request: Request, item: Document, org: str) -> Decimal:
    price = sales.priced(request, item, org)
    return (price * sales.number(item, "RequestedQuantity")).quantize(sales.CENT)


def _line(number: str, place: int, item: Document, net: Decimal, currency: str) -> Document:
    return {
        "SalesOrder": number,
        "SalesOrderItem": f"{place * 10:06d}",
        "Material": item["Material"],
        "RequestedQuantity": str(item["RequestedQuantity"]),
        "RequestedQuantityUnit": item.get("RequestedQuantityUnit") or "PC",
        "NetAmount": f"{net:.2f}",
        "TransactionCurrency": currency,
        "SalesDocumentRjcnReason": "",
    }


def _next_number(request: Request) -> str:
    last = request.store.last_added(SYSTEM, ORDER.name)
    return f"{max(request.world.n_orders, int(last or 0)) + 1:010d}"


def _lines(order: Document) -> list[Document]:
    lines: list[Document] = order["to_Item"]["results"]
    return lines


def _sum(lines: list[Document]) -> Decimal:
    return sum((Decimal(line["NetAmount"]) for line in lines), Decimal(0))


def _found(request: Request) -> tuple[Document, Document]:
    """The order and its item that the address names."""
    named = reading.named_key(request.match["key"])
    order = request.store.get(SYSTEM, ORDER.name, named.get("SalesOrder", ""))
    wanted = named.get("SalesOrderItem", "").lstrip("0")
    for line in _lines(order) if order else ():
        if order and line["SalesOrderItem"].lstrip("0") == wanted:
            return order, line
    raise missing(ITEM.kind)
