"""Customers and orders written to Salesforce.

A customer is an account and the person in it, which change together or not at all (REST API,
"sObject Collections", `allOrNone`). The copy of an order is upserted by the ERP's number, an external
id: written twice, it is there once.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn
from urllib.parse import quote, urlencode

import msgspec

from connectors.runtime.connector import Capability, Push
from connectors.runtime.session import HubSession, Response, decode
from connectors.salesforce.answers import Trouble, accepted, judge, refuse
from observability.context import current_id
from observability.errors import PermanentError

ROOT = "services/data/v60.0/"
JSON = {"Content-Type": "application/json"}
ORDER_KEY = "ErpNumber__c"
#: Before the id of an account that has no customer number (`streams.account_key`).
OWN = "salesforce:"
ACCOUNT = {
    "name": "Name",
    "phone": "Phone",
    "street": "BillingStreet",
    "city": "BillingCity",
    "postcode": "BillingPostalCode",
    "country": "BillingCountry",
}
CONTACT = {"first_name": "FirstName", "last_name": "LastName", "email": "Email"}


class Named(msgspec.Struct):
    Id: str


class Found(msgspec.Struct):
    records: list[Named]


class Result(msgspec.Struct):
    success: bool
    id: str | None = None
    errors: list[Trouble] = []


class Customer(msgspec.Struct):
    """The body of an update: the number, and what changes of the account and of the person."""

    number: str
    account: dict[str, Any]
    contact: dict[str, Any]


class Copy(msgspec.Struct):
    """The body of an order's copy: its key, the customer's number, and Salesforce's members."""

    order: str
    customer: str
    members: dict[str, Any]


def _customer(values: Mapping[str, Any], _key: str) -> dict[str, Any]:
    """Raises ValueError for a field that Salesforce does not keep."""
    changed = {name: value for name, value in values.items() if name != "number"}
    if unknown := sorted(changed.keys() - ACCOUNT.keys() - CONTACT.keys()):
        raise ValueError(f"{unknown[0]} is no field of a customer that Salesforce keeps")
    if not changed:
        raise ValueError("nothing of the customer is to change")
    return {
        "number": str(values["number"]),
        "account": {ACCOUNT[n]: v for n, v in changed.items() if n in ACCOUNT},
        "contact": {CONTACT[n]: v for n, v in changed.items() if n in CONTACT},
    }


def _copy(values: Mapping[str, Any], key: str) -> dict[str, Any]:
    try:
        # Salesforce's currencies are numbers of JSON, and are rounded to cents there.
        total = float(Decimal(str(values["total"])))
    except InvalidOperation as error:
        raise ValueError(f"total {values['total']!r} is no decimal number") from error
    return {
        "order": str(values["order"]),
        "customer": str(values["customer"]),
        "members": {
            "EffectiveDate": f"{datetime.now(UTC):%Y-%m-%d}",
            # What an order of Salesforce's own begins as; what becomes of it, the ERP says.
            "Status": "Draft",
            "ErpStatus__c": str(values.get("status") or ""),
            "CurrencyIsoCode": str(values["currency"]),
            "Total__c": total,
            "Reference__c": str(values.get("reference") or ""),
            "Headwater_Key__c": key,
        },
    }


#: `{number, <fields of Customer that change>}`; null empties one. Repeating it is harmless.
UPDATE = Capability(
    "customer.update", "accounts", _customer, key=lambda values: str(values["number"])
)
#: `{reference, order, customer, total, currency, status}`: the copy of an order of the ERP's.
RECORD = Capability("order.record", "orders", _copy)


def update_customer(session: HubSession, push: Push) -> str:
    """The id of the account. Raises RefusedByUpstreamError `unknown_customer`, `invalid_value`.

    The account is read back; of the person tells Salesforce's own change event. So that event must
    not name us as its cause, as if all were known.
    """
    given = msgspec.json.decode(push.body, type=Customer)
    account = _account(session, given.number)
    records = []
    if given.account:
        records.append({"attributes": {"type": "Account"}, "id": account, **given.account})
    if given.contact:
        where = f"AccountId = '{quoted(account)}'"
        contact = _first(session, f"SELECT Id FROM Contact WHERE {where} ORDER BY CreatedDate, Id")  # noqa: S608 (SOQL; quoted)
        if contact is None:
            refuse(session, "unknown_customer", f"customer {given.number} has no contact")
        records.append({"attributes": {"type": "Contact"}, "id": contact, **given.contact})
    headers = JSON if given.contact else {**JSON, **cause(push)}
    data = msgspec.json.encode({"allOrNone": True, "records": records})
    response = session.patch(f"{ROOT}composite/sobjects", data=data, headers=headers)
    results = decode(list[Result], accepted(session, response), session.connection)
    troubles = [trouble for one in results if not one.success for trouble in one.errors]
    if troubles or not all(one.success for one in results):
        _unfinished(session, troubles, response)
    return account


def record_order(session: HubSession, push: Push) -> str:
    """The id of the copy. Raises RefusedByUpstreamError `unknown_customer`, `invalid_value`."""
    given = msgspec.json.decode(push.body, type=Copy)
    members = {**given.members, "AccountId": _account(session, given.customer)}
    address = f"{ROOT}sobjects/Order/{ORDER_KEY}/{quote(given.order, safe='')}"
    data = msgspec.json.encode(members)
    response = session.patch(address, data=data, headers={**JSON, **cause(push)})
    result = decode(Result, accepted(session, response), session.connection)
    if not result.success or not result.id:
        _unfinished(session, result.errors, response)
    return result.id


def find_order(session: HubSession, push: Push) -> str | None:
    """The id of the copy, if this very write was the last to it."""
    key = quoted(push.idempotency_key)
    return _first(session, f"SELECT Id FROM Order WHERE Headwater_Key__c = '{key}' ORDER BY Id")  # noqa: S608 (SOQL; quoted)


def _unfinished(session: HubSession, troubles: list[Trouble], response: Response) -> NoReturn:
    """200 with failures inside."""
    judge(session, troubles, response)
    said = next((trouble.message for trouble in troubles if trouble.message), "no reason given")
    raise PermanentError(
        f"Salesforce refused: {said}",
        connection=session.connection,
        status=response.status_code,
        excerpt=response.content,
        correlation_id=current_id(),
    )


def _account(session: HubSession, number: str) -> str:
    own = number.removeprefix(OWN)
    where = f"{'AccountNumber' if own == number else 'Id'} = '{quoted(own)}'"
    found = _first(session, f"SELECT Id FROM Account WHERE {where} ORDER BY CreatedDate, Id")  # noqa: S608 (SOQL; quoted)
    if found is None:
        refuse(session, "unknown_customer", f"Salesforce has no account {number}")
    return found


def _first(session: HubSession, soql: str) -> str | None:
    url = f"{ROOT}query?{urlencode({'q': f'{soql} LIMIT 1'})}"
    found = decode(Found, accepted(session, session.get(url)), session.connection).records
    return found[0].Id if found else None


def cause(push: Push) -> dict[str, str]:
    """Named in the change event's `changeOrigin` (`client=`)."""
    return {"Sforce-Call-Options": f"client={push.idempotency_key}"}


def quoted(value: str) -> str:
    """A value inside a SOQL string literal (SOQL reference, "Quoted String Escape Sequences")."""
    return value.replace("\\", "\\\\").replace("'", "\\'")
