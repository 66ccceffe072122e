"""The org's records: the simulated past, and what a create or an update may do to them."""

from __future__ import annotations

import secrets
import string
from datetime import UTC, date, datetime
from typing import Any

from connectors.sandbox import soql
from connectors.sandbox.ids import salesforce_id, salesforce_id18
from connectors.sandbox.salesforce_schema import Field, SObject
from connectors.sandbox.store import Collection, Store
from connectors.sandbox.world import LOTS, World
from connectors.sandbox.world_facts import CustomerFacts, LotFacts, ReviewFacts

SYSTEM = "salesforce"
Record = dict[str, Any]


class WriteError(Exception):
    """A refused write; `fields`: the culprits."""

    def __init__(self, code: str, message: str, fields: list[str]) -> None:
        super().__init__(message)
        self.code = code
        self.fields = fields


def moment(at_ms: int) -> str:
    """`2026-01-31T10:00:00.000+0000`: no colon in the offset."""
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at_ms % 1000:03d}+0000"


def collections(world: World) -> list[Collection]:
    def customer_changed(k: int) -> int:
        return world.changed_ms(k, world.n_customers)

    return [
        Collection(
            SYSTEM,
            "Account",
            world.n_customers,
            key=lambda k: world.customer(k).account_id,
            index=lambda key: world.customer_by_account_id(key) if len(key) == 18 else None,
            build=lambda k: _account(world.customer(k)),
            changed_ms=customer_changed,
            stamp=_stamp,
        ),
        Collection(
            SYSTEM,
            "Contact",
            world.n_customers,
            key=lambda k: world.customer(k).contact_id,
            index=lambda key: world.customer_by_contact_id(key) if len(key) == 18 else None,
            build=lambda k: _contact(world.customer(k)),
            changed_ms=customer_changed,
            stamp=_stamp,
        ),
        Collection(
            SYSTEM,
            "Review__c",
            world.review_count(),
            key=lambda r: world.review(r).id,
            index=lambda key: world.review_index(key) if len(key) == 18 else None,
            build=lambda r: _review(world.review(r), r),
            changed_ms=lambda r: world.changed_ms(r, world.review_count()),
            stamp=_stamp,
        ),
        Collection(
            SYSTEM,
            "Auction_Lot__c",
            LOTS,
            key=lambda k: world.lot(k).id,
            index=lambda key: world.lot_index(key) if len(key) == 18 else None,
            build=lambda k: _lot(world.lot(k), k),
            changed_ms=lambda k: world.changed_ms(k, LOTS),
            stamp=_stamp,
        ),
        Collection(  # the ERP's, copied by whoever integrates: none on the first day
            SYSTEM,
            "Order",
            0,
            key=lambda o: salesforce_id("801", o),
            index=lambda _key: None,
            build=lambda _o: {},
            changed_ms=lambda _o: 0,
            stamp=_stamp,
        ),
    ]


def _stamp(record: Record, changed_ms: int) -> None:
    record["SystemModstamp"] = record["LastModifiedDate"] = moment(changed_ms)
    record.setdefault("IsDeleted", False)


def _audit(created_ms: int, updated_ms: int) -> Record:
    changed = moment(updated_ms)
    return {
        "CreatedDate": moment(created_ms),
        "LastModifiedDate": changed,
        "SystemModstamp": changed,
    }


def _account(facts: CustomerFacts) -> Record:
    return {
        "Id": facts.account_id,
        "IsDeleted": False,
        "Name": facts.name,
        "AccountNumber": facts.number,
        "Phone": facts.phone,
        "BillingStreet": facts.street,
        "BillingCity": facts.city,
        "BillingPostalCode": facts.postcode,
        "BillingCountry": facts.country,
        **_audit(facts.created_ms, facts.updated_ms),
    }


def _contact(facts: CustomerFacts) -> Record:
    return {
        "Id": facts.contact_id,
        "IsDeleted": False,
        "AccountId": facts.account_id,
        "FirstName": facts.first_name,
        "LastName": facts.last_name,
        "Name": f"{facts.first_name} {facts.last_name}",
        "Email": facts.email,
        "Phone": facts.phone,
        **_audit(facts.created_ms, facts.updated_ms),
    }


def _review(facts: ReviewFacts, index: int) -> Record:
    return {
        "Id": facts.id,
        "IsDeleted": False,
        "Name": f"R-{index + 1:06d}",
        "ProductCode__c": facts.product_code,
        "Rating__c": float(facts.rating),
        "Title__c": facts.title,
        "Body__c": facts.body,
        "Author__c": facts.author,
        **_audit(facts.created_ms, facts.updated_ms),
    }


def _lot(facts: LotFacts, index: int) -> Record:
    return {
        "Id": facts.id,
        "IsDeleted": False,
        "Name": f"AL-{index + 1:06d}",
        "LotNumber__c": facts.number,
        "Title__c": facts.title,
        "ProductSku__c": facts.sku,
        "OpensAt__c": moment(facts.opens_ms),
        "ClosesAt__c": moment(facts.closes_ms),
        "CurrencyIsoCode": facts.currency,
        "StartPrice__c": facts.start_minor / 100,
        "BidIncrement__c": facts.increment_minor / 100,
        "ReservePrice__c": facts.reserve_minor / 100,
        "Status__c": "Published",
        **_audit(facts.created_ms, facts.updated_ms),
    }


def new_id(sobject: SObject, number: int) -> str:
    """Behind every id of the simulated past, and in order: `number` is the time in milliseconds."""
    alphabet = string.digits + string.ascii_uppercase + string.ascii_lowercase
    letters = ""
    for _ in range(8):
        number, digit = divmod(number, 62)
        letters = alphabet[digit] + letters
    return salesforce_id18(f"{sobject.prefix}z{letters}{secrets.randbelow(1000):03d}")


def created(sobject: SObject, given: Record, now_ms: int) -> Record:
    record: Record = dict.fromkeys(field.name for field in sobject.fields.values())
    known = _checked(sobject, given)
    absent = [f.name for f in sobject.fields.values() if f.required and known.get(f.name) is None]
    if absent:
        message = f"Required fields are missing: [{', '.join(absent)}]"
        raise WriteError("REQUIRED_FIELD_MISSING", message, absent)
    key = new_id(sobject, now_ms)
    record |= {"Id": key, "IsDeleted": False, "CreatedDate": moment(now_ms), **known}
    number = {
        "Review__c": ("Name", "R-"),
        "Order": ("OrderNumber", ""),
        "Auction_Lot__c": ("Name", "AL-"),
    }.get(sobject.name)
    if number is not None:
        record[number[0]] = number[1] + key[3:15]
    return _derived(record)


def updated(sobject: SObject, record: Record, given: Record) -> Record:
    return _derived({**record, **_checked(sobject, given)})


def _derived(record: Record) -> Record:
    if "LastName" in record:
        names = (record.get("FirstName"), record["LastName"])
        record["Name"] = " ".join(name for name in names if name)
    return record


def _checked(sobject: SObject, given: Record) -> Record:
    known: Record = {}
    for name, value in given.items():
        if name == "attributes":
            continue
        field = sobject.field(name)
        if field is None:
            message = f"No such column '{name}' on sobject of type {sobject.name}"
            raise WriteError("INVALID_FIELD", message, [])
        if not field.writable:
            message = (
                f"Unable to create/update fields: {field.name}. Please check the security settings "
                "of this field and verify that it is read/write for your profile or permission set."
            )
            raise WriteError("INVALID_FIELD_FOR_INSERT_UPDATE", message, [field.name])
        if value is None and not field.nillable:
            message = f"Required fields are missing: [{field.name}]"
            raise WriteError("REQUIRED_FIELD_MISSING", message, [field.name])
        known[field.name] = _typed(field, value)
    return known


def _typed(field: Field, value: Any) -> Any:
    name, kind, length = field.name, field.type, field.length
    if value is None:
        return None
    if kind in {"double", "currency"}:
        if isinstance(value, bool) or not isinstance(value, int | float):
            message = f"{name}: value not of required type: {value}"
            raise WriteError("INVALID_TYPE_ON_FIELD_IN_RECORD", message, [name])
        return float(value)
    if not isinstance(value, str):
        message = f"Cannot deserialize instance of {kind} from VALUE {value}"
        raise WriteError("JSON_PARSER_ERROR", message, [])
    if kind in {"date", "datetime"}:
        return _day(name, value) if kind == "date" else _time(value)
    if field.choices and value not in field.choices:
        message = f"{field.label}: bad value for restricted picklist field: {value}"
        raise WriteError("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", message, [name])
    if len(value) > length:
        shown = value if len(value) < 255 else f"{value[:255]}..."
        message = f"{name}: data value too large: {shown} (max length={length})"
        raise WriteError("STRING_TOO_LONG", message, [name])
    if kind == "email" and "@" not in value:
        message = f"{name}: invalid email address: {value}"
        raise WriteError("INVALID_EMAIL_ADDRESS", message, [name])
    return value


def _time(value: str) -> str:
    try:
        return moment(soql.milliseconds(value))
    except ValueError:
        message = f"Cannot deserialize instance of datetime from VALUE_STRING {value}"
        raise WriteError("JSON_PARSER_ERROR", message, []) from None


def _day(name: str, value: str) -> str:
    try:
        return date.fromisoformat(value).isoformat()
    except ValueError:
        message = f"{name}: invalid date: {value}"
        raise WriteError("INVALID_TYPE_ON_FIELD_IN_RECORD", message, [name]) from None


def check_parents(store: Store, sobject: SObject, record: Record) -> None:
    for field in sobject.fields.values():
        key = record.get(field.name)
        if field.reference_to and key and store.get(SYSTEM, field.reference_to, key) is None:
            message = f"{field.label}: id value of incorrect type: {key}"
            raise WriteError("MALFORMED_ID", message, [field.name])
