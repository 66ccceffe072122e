"""What a sales order goes through in SAP: customer, material, price, credit.

The codes are SAP's own message classes and numbers: VP 204, V1 382, V1 801, V1 150, V1 154.
"""

from __future__ import annotations

import time
from decimal import Decimal, InvalidOperation
from typing import Any

from connectors.sandbox import sap_documents as documents
from connectors.sandbox.sap_errors import SapError, bad
from connectors.sandbox.sap_filter import milliseconds
from connectors.sandbox.store import Document
from connectors.sandbox.wire import Request

SYSTEM = "sap"
CENT = Decimal("0.01")
MANUAL_PRICE = "PMP0"
#: Credit accounts are kept in the currency of the customer's country.
DOLLARS_FOR_A_EURO = Decimal("1.10")


def check_customer(request: Request, partner: str, org: str) -> None:
    if org not in documents.ORGS:
        raise bad(f"Sales organization {org} does not exist")
    if request.store.get(SYSTEM, "A_BusinessPartner", partner) is None:
        raise SapError(
            400, "VP/204", f"Sold-to party {partner} not maintained for sales area {org} 10 00"
        )


def priced(request: Request, item: Document, org: str) -> Decimal:
    """The net price of one piece: as the item has it by hand, else by the condition record."""
    material = item.get("Material")
    if not isinstance(material, str) or not material:
        raise bad("Property 'Material' is missing")
    if request.store.get(SYSTEM, "A_Product", material) is None:
        text = f"Material {material} is not defined for sales org.{org}, distr.chan.10, language EN"
        raise SapError(400, "V1/382", text)
    for element in many(item.get("to_PricingElement")):
        if element.get("ConditionType") == MANUAL_PRICE:
            rate = number(element, "ConditionRateValue")
            return rate / number(element, "ConditionQuantity", "1")
    now = time.time_ns() // 1_000_000
    for record in condition_records(request, material):
        begins, ends = (
            milliseconds(record[f"ConditionValidity{end}Date"]) for end in ("Start", "End")
        )
        if record["SalesOrganization"] == org and begins <= now < ends + 86_400_000:
            condition = record["to_SlsPrcgConditionRecord"]
            return Decimal(condition["ConditionRateValue"]) / Decimal(
                condition["ConditionQuantity"]
            )
    raise SapError(400, "V1/801", "Pricing error: Mandatory condition PPR0 is missing")


def condition_records(request: Request, material: str) -> list[Document]:
    """Every living condition record of a material, those added since the first day first."""
    store, name = request.store, "A_SlsPrcgCndnRecdValidity"
    base = [documents.price_number(request.world, material, org) for org in documents.ORGS]
    added = [
        r for k, r in store.overlay(SYSTEM, name) if r["Material"] == material and k not in base
    ]
    known = (store.get(SYSTEM, name, key) for key in base if key is not None)
    return [*added, *(record for record in known if record is not None)]


# --- credit ---------------------------------------------------------------------------------------


def check_credit(request: Request, partner: str, total: Decimal, currency: str) -> None:
    account = credit_account(request, partner)
    if account is None:
        return  # credit management looks after those alone who have an account
    if account["CreditAccountIsBlocked"]:
        text = "Order receipt/delivery not possible, credit customer blocked"
        raise SapError(400, "V1/154", text)
    limit, used = _limit_and_exposure(account)
    if used + _converted(total, currency, account["CreditSegmentCurrency"]) > limit:
        raise SapError(400, "V1/150", f"Static credit check: credit limit exceeded {partner}")


def expose(request: Request, partner: str, total: Decimal, currency: str) -> None:
    """Add to what the customer owes; a negative total takes it back."""
    account = credit_account(request, partner)
    if account is not None:
        _, used = _limit_and_exposure(account)
        used += _converted(total, currency, account["CreditSegmentCurrency"])
        request.store.patch(
            SYSTEM,
            "CreditManagementAccount",
            f"{partner}/{documents.CREDIT_SEGMENT}",
            {"CustomerCreditExposureAmount": f"{max(used, Decimal(0)):.2f}"},
        )


def credit_account(request: Request, partner: str) -> Document | None:
    key = f"{partner}/{documents.CREDIT_SEGMENT}"
    return request.store.get(SYSTEM, "CreditManagementAccount", key)


def _limit_and_exposure(account: Document) -> tuple[Decimal, Decimal]:
    return (
        Decimal(account["CreditLimitAmount"]),
        Decimal(account["CustomerCreditExposureAmount"]),
    )


def _converted(amount: Decimal, currency: str, to: str) -> Decimal:
    if currency == to:
        return amount
    rate = DOLLARS_FOR_A_EURO if to == "USD" else 1 / DOLLARS_FOR_A_EURO
    return (amount * rate).quantize(CENT)


# --- what is sent ---------------------------------------------------------------------------------


def many(given: Any) -> list[Document]:
    """A deep insert's list: bare, or in the envelope that reads have."""
    if isinstance(given, dict):
        given = given.get("results", [])
    if given is None:
        return []
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        raise bad("a navigation property takes a list of objects")
    return given


def number(given: Document, name: str, default: str | None = None) -> Decimal:
    """A positive Edm.Decimal."""
    value = given.get(name, default)
    try:
        found = Decimal(str(value)) if not isinstance(value, bool) else Decimal(0)
    except InvalidOperation:
        found = Decimal(0)
    if not found.is_finite() or found <= 0:
        raise bad(f"Property '{name}' has invalid value '{value}'")
    return found
