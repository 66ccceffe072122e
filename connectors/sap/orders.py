"""Sales orders written to S/4HANA (API_SALES_ORDER_SRV): a deep insert, and the rejection of items.

The service has no idempotency of its own. Our key goes into the customer reference of the order,
by which an order is found again whose answer never came.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from connectors.runtime.connector import Capability
from connectors.runtime.session import HubSession, decode
from connectors.sap.streams import MARKETS
from connectors.sap.writing import Writer, refused

SERVICE = "sap/opu/odata/sap/API_SALES_ORDER_SRV/"
ORGANIZATIONS = {market: organization for organization, market in MARKETS.items()}
#: `MaxLength` of PurchaseOrderByCustomer.
LONGEST_REFERENCE = 35
#: A price that was agreed, and is not to be looked up again (S/4HANA's own pricing procedure).
MANUAL_PRICE = "PMP0"
#: Reason for rejection (a table of the company's): the customer's wish.
CANCELLED = "50"
COMPLETED = "C"


class Item(msgspec.Struct):
    SalesOrderItem: str
    SalesDocumentRjcnReason: str = ""


class Items(msgspec.Struct):
    results: list[Item]


class Numbered(msgspec.Struct):
    SalesOrder: str


class Order(msgspec.Struct):
    """With its items, as it is asked for."""

    OverallSDProcessStatus: str
    OverallSDDocumentRejectionSts: str
    to_Item: Items  # noqa: N815 (SAP's name)


class Made(msgspec.Struct):
    d: Numbered


class One(msgspec.Struct):
    d: Order


class Found(msgspec.Struct):
    results: list[Numbered]


class Many(msgspec.Struct):
    d: Found


def order_body(values: Mapping[str, Any], key: str) -> dict[str, Any]:
    """An order of `{customer, market, currency, lines: [{sku, quantity, unit_price?}]}`.

    Where a line has a price, that is the price; else SAP takes its own. Raises ValueError.
    """
    if values.get("market") not in ORGANIZATIONS:
        markets = ", ".join(sorted(ORGANIZATIONS))
        raise ValueError(f"market {values.get('market')!r} is none of SAP's: {markets}")
    if len(key) > LONGEST_REFERENCE:
        raise ValueError(f"the idempotency key {key!r} is longer than {LONGEST_REFERENCE}")
    return {
        "SalesOrderType": "OR",
        "SalesOrganization": ORGANIZATIONS[values["market"]],
        "DistributionChannel": "10",
        "OrganizationDivision": "00",
        "SoldToParty": str(values["customer"]),
        "TransactionCurrency": str(values["currency"]),
        "PurchaseOrderByCustomer": key,
        "to_Item": [_item(line, str(values["currency"])) for line in values["lines"]],
    }


def _item(line: Mapping[str, Any], currency: str) -> dict[str, Any]:
    item: dict[str, Any] = {
        "Material": str(line["sku"]),
        "RequestedQuantity": _decimal(line, "quantity"),
    }
    if line.get("unit_price") is not None:
        price = {
            "ConditionType": MANUAL_PRICE,
            "ConditionRateValue": _decimal(line, "unit_price"),
            "ConditionCurrency": currency,
            "ConditionQuantity": "1",
        }
        item["to_PricingElement"] = [price]
    return item


def _decimal(line: Mapping[str, Any], name: str) -> str:
    """OData V2 sends decimals as texts, and without an exponent."""
    try:
        value = Decimal(str(line[name]))
    except InvalidOperation as error:
        raise ValueError(f"{name} {line[name]!r} is no decimal number") from error
    if not value.is_finite() or value <= 0:
        raise ValueError(f"{name} {line[name]!r} is not above zero")
    return f"{value:f}"


CREATE = Capability("order.create", "orders", order_body)
#: `{order}`. Repeating it is harmless: an item that is rejected stays so.
CANCEL = Capability(
    "order.cancel",
    "orders",
    lambda _values, _key: {"SalesDocumentRjcnReason": CANCELLED},
    key=lambda values: str(values["order"]),
)


def create(session: HubSession, writer: Writer, body: bytes) -> str:
    """The number of the order that SAP made."""
    response = writer.send("POST", f"{SERVICE}A_SalesOrder", SERVICE, body)
    return decode(Made, response, session.connection).d.SalesOrder


def find(session: HubSession, headers: Mapping[str, str], key: str) -> str | None:
    """The number of the order that was made under our key, if one was."""
    wanted = key.replace("'", "''")
    query = {
        "$filter": f"PurchaseOrderByCustomer eq '{wanted}'",
        "$orderby": "SalesOrder",
        "$top": "1",
        "$format": "json",
    }
    url = f"{SERVICE}A_SalesOrder"
    response = session.checked(session.get(url, params=query, headers=dict(headers)))
    found = decode(Many, response, session.connection).d.results
    return found[0].SalesOrder if found else None


def cancel(
    session: HubSession, writer: Writer, headers: Mapping[str, str], number: str, body: bytes
) -> str:
    """Reject every item that is not rejected yet. Raises RefusedByUpstreamError: `unknown_order`,
    or `order_completed` for one that is past that.
    """
    quoted = number.replace("'", "''")
    url = f"{SERVICE}A_SalesOrder('{quoted}')?$expand=to_Item&$format=json"
    response = session.get(url, headers=dict(headers))
    if response.status_code == 404:
        raise refused(session, "unknown_order", f"SAP has no order {number}", response)
    session.checked(response)
    order = decode(One, response, session.connection).d
    if order.OverallSDDocumentRejectionSts == COMPLETED:
        return number
    if order.OverallSDProcessStatus == COMPLETED:
        raise refused(session, "order_completed", f"order {number} is completed")
    for item in order.to_Item.results:
        if not item.SalesDocumentRjcnReason:
            key = f"(SalesOrder='{quoted}',SalesOrderItem='{item.SalesOrderItem}')"
            # Whatever changed meanwhile, a cancelled order is cancelled.
            writer.send("PATCH", f"{SERVICE}A_SalesOrderItem{key}", SERVICE, body, If_Match="*")
    return number
