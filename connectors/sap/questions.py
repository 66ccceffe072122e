"""What S/4HANA is asked in the middle of a write: today's price, and what a customer may still owe.

Both are asked of the owner, because what is mirrored may be seconds old.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import msgspec
from pydantic import ValidationError

from connectors.runtime.session import HubSession, Response, decode
from connectors.sap import contracts
from connectors.sap.orders import ORGANIZATIONS
from connectors.sap.streams import PRICE_STEP, until
from connectors.sap.writing import refused
from observability.context import current_id
from observability.errors import GarbledError

ROOT = "sap/opu/odata/sap/"
VALIDITY = f"{ROOT}API_SLSPRICINGCONDITIONRECORD_SRV/A_SlsPrcgCndnRecdValidity"
CREDIT = f"{ROOT}API_CRDTMBUSINESSPARTNER/CreditManagementAccount"
LIST_PRICE = "PPR0"
#: The segment in which the company keeps its customers' limits.
CREDIT_SEGMENT = "1000"


class Condition(contracts.Condition):
    """Its rate is for so many pieces."""

    ConditionQuantity: Decimal | None = None


class Validity(contracts.PriceValidity):
    to_SlsPrcgConditionRecord: Condition  # noqa: N815 (SAP's name)


class Records(msgspec.Struct):
    results: list[msgspec.Raw]


class Collection(msgspec.Struct):
    d: Records


class Account(msgspec.Struct):
    """Amounts come as texts or as numbers, as all decimals of OData V2."""

    CreditLimitAmount: Decimal
    CreditSegmentCurrency: str
    CustomerCreditExposureAmount: Decimal = Decimal(0)
    CreditAccountIsBlocked: bool = False


class One(msgspec.Struct):
    d: Account


def current_price(
    session: HubSession, headers: Mapping[str, str], values: Mapping[str, Any]
) -> dict[str, Any]:
    """Of `{sku, market, currency, quantity?}`: `{amount, currency, valid_from, valid_to}`.

    `amount` is the list price of one piece today, a decimal text; scales by quantity are not kept.
    The days are ISO 8601, `valid_to` None for an open end. Raises RefusedByUpstreamError `no_price`.
    """
    market, currency = str(values["market"]), str(values["currency"])
    if market not in ORGANIZATIONS:
        raise refused(session, "no_price", f"SAP sells nothing in market {market!r}")
    today = f"datetime'{datetime.now(UTC):%Y-%m-%dT00:00:00}'"
    terms = (
        f"Material eq '{_quoted(str(values['sku']))}'",
        f"SalesOrganization eq '{ORGANIZATIONS[market]}'",
        f"ConditionType eq '{LIST_PRICE}'",
        f"ConditionValidityStartDate le {today}",
        f"ConditionValidityEndDate ge {today}",
    )
    query = {
        "$filter": " and ".join(terms),
        "$expand": "to_SlsPrcgConditionRecord",
        "$format": "json",
    }
    url = f"{VALIDITY}?{urlencode(query)}"
    response = session.checked(session.get(url, headers=dict(headers)))
    found = [
        one
        for raw in decode(Collection, response, session.connection).d.results
        if (
            one := _validity(raw, response, session)
        ).to_SlsPrcgConditionRecord.ConditionRateValueUnit
        == currency
    ]
    if not found:
        what = f"{values['sku']} has no price in market {market} and {currency} today"
        raise refused(session, "no_price", what)
    newest = max(found, key=lambda one: one.ConditionValidityStartDate)
    condition, ends = newest.to_SlsPrcgConditionRecord, until(newest.ConditionValidityEndDate)
    amount = condition.ConditionRateValue / (condition.ConditionQuantity or 1)
    if amount != condition.ConditionRateValue:
        amount = amount.quantize(PRICE_STEP)
    return {
        "amount": f"{amount:f}",
        "currency": currency,
        "valid_from": newest.ConditionValidityStartDate.date().isoformat(),
        "valid_to": ends and ends.isoformat(),
    }


def available_credit(
    session: HubSession, headers: Mapping[str, str], values: Mapping[str, Any]
) -> dict[str, Any]:
    """Of `{customer, currency?}`: `{limit, used, available, currency, blocked}`.

    Amounts are decimal texts in the currency of the account, which may not be the one asked about:
    `currency` says. Raises RefusedByUpstreamError `unknown_customer`.
    """
    customer = str(values["customer"])
    key = f"(BusinessPartner='{_quoted(customer)}',CreditSegment='{CREDIT_SEGMENT}')"
    response = session.get(f"{CREDIT}{key}?$format=json", headers=dict(headers))
    if response.status_code == 404:
        what = f"credit management has no account of customer {customer}"
        raise refused(session, "unknown_customer", what, response)
    account = decode(One, session.checked(response), session.connection).d
    limit, used = account.CreditLimitAmount, account.CustomerCreditExposureAmount
    return {
        "limit": f"{limit:f}",
        "used": f"{used:f}",
        "available": f"{max(limit - used, Decimal(0)):f}",
        "currency": account.CreditSegmentCurrency,
        "blocked": account.CreditAccountIsBlocked,
    }


def _validity(raw: msgspec.Raw, response: Response, session: HubSession) -> Validity:
    try:
        return Validity.model_validate_json(bytes(raw))
    except ValidationError as error:
        raise GarbledError(
            f"a price of SAP's cannot be read: {error}",
            connection=session.connection,
            status=response.status_code,
            excerpt=bytes(raw),
            correlation_id=current_id(),
        ) from error


def _quoted(value: str) -> str:
    return value.replace("'", "''")
