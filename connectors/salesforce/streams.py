"""Salesforce's streams: customers, the people in them, reviews, and what is sold by auction."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from connectors.runtime.declare import From, StreamSpec
from connectors.salesforce import contracts as c

CENT = Decimal("0.01")
_SUFFIX = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"


def long_id(identifier: str) -> str:
    """The 18-character form of a record id; 15 characters name the same record, case-sensitively.

    The three added ones encode the capitals, five characters each (Salesforce, "What are Salesforce
    IDs composed of?").
    """
    if len(identifier) != 15:
        return identifier
    chunks = (identifier[i : i + 5] for i in (0, 5, 10))
    return identifier + "".join(
        _SUFFIX[sum(1 << place for place, char in enumerate(chunk) if "A" <= char <= "Z")]
        for chunk in chunks
    )


def stars(rating: float) -> int:
    """A rating in whole stars; Salesforce sends every number with decimals (`5.0`)."""
    if not rating.is_integer():
        raise ValueError(f"a rating of {rating} is no whole number of stars")
    return int(rating)


def money(amount: float | None) -> Decimal | None:
    """An amount of Salesforce's, which sends currencies as numbers (`31.4`)."""
    return None if amount is None else Decimal(str(amount)).quantize(CENT)


def account_key(record: c.Account) -> str:
    """The customer number that all systems share; of an account without one Salesforce's own id.

    What is known by such an id is matched with the others by what it says (`catalog.matching`).
    """
    return record.AccountNumber or f"salesforce:{long_id(record.Id)}"


def contact_key(record: c.Contact) -> str:
    """The customer number of the contact's account; else as an account without one."""
    number = record.Account.AccountNumber if record.Account else None
    return number or f"salesforce:{long_id(record.Id)}"


ACCOUNTS = StreamSpec(
    slug="accounts",
    entity="customer",
    contract=c.Account,
    record_key=("Id",),
    entity_key=account_key,
    fields={
        "name": "Name",
        "phone": "Phone",
        "street": "BillingStreet",
        "city": "BillingCity",
        "postcode": "BillingPostalCode",
        "country": "BillingCountry",
    },
    version=From("SystemModstamp"),
    deleted=lambda r: r.IsDeleted,
    keeps=("AccountNumber", "IsDeleted"),
    page_size=2000,
    options={
        "object": "Account",
        "select": "Id,Name,AccountNumber,Phone,BillingStreet,BillingCity,BillingPostalCode,"
        "BillingCountry,SystemModstamp,IsDeleted",
    },
)

CONTACTS = StreamSpec(
    slug="contacts",
    entity="customer",
    contract=c.Contact,
    record_key=("Id",),
    entity_key=contact_key,
    fields={"first_name": "FirstName", "last_name": "LastName", "email": "Email"},
    version=From("SystemModstamp"),
    deleted=lambda r: r.IsDeleted,
    keeps=("Account.AccountNumber", "IsDeleted"),
    page_size=2000,
    options={
        "object": "Contact",
        "select": "Id,FirstName,LastName,Email,Account.AccountNumber,SystemModstamp,IsDeleted",
    },
)

REVIEWS = StreamSpec(
    slug="reviews",
    entity="review",
    contract=c.Review,
    record_key=("Id",),
    entity_key=lambda r: long_id(r.Id),
    fields={
        "product": "ProductCode__c",
        "rating": From("Rating__c", stars),
        "title": "Title__c",
        "body": "Body__c",
        "author": "Author__c",
        "written_at": "CreatedDate",
    },
    version=From("SystemModstamp"),
    deleted=lambda r: r.IsDeleted,
    keeps=("IsDeleted",),
    page_size=2000,
    interval=timedelta(seconds=120),
    objective=timedelta(seconds=900),
    options={
        "object": "Review__c",
        "select": "Id,ProductCode__c,Rating__c,Title__c,Body__c,Author__c,CreatedDate,"
        "SystemModstamp,IsDeleted",
    },
)

LOTS = StreamSpec(
    slug="lots",
    entity="lot",
    contract=c.Lot,
    record_key=("Id",),
    entity_key=lambda r: r.LotNumber__c,
    fields={
        "title": "Title__c",
        "variant": "ProductSku__c",
        "opens_at": "OpensAt__c",
        "closes_at": "ClosesAt__c",
        "currency": "CurrencyIsoCode",
        "start_price": From("StartPrice__c", money),
        "increment": From("BidIncrement__c", money),
        "reserve_price": From("ReservePrice__c", money),
        "status": From("Status__c", str.lower),
    },
    version=From("SystemModstamp"),
    deleted=lambda r: r.IsDeleted,
    keeps=("LotNumber__c", "IsDeleted"),
    page_size=2000,
    options={
        "object": "Auction_Lot__c",
        "select": "Id,LotNumber__c,Title__c,ProductSku__c,OpensAt__c,ClosesAt__c,CurrencyIsoCode,"
        "StartPrice__c,BidIncrement__c,ReservePrice__c,Status__c,SystemModstamp,IsDeleted",
    },
)

ORDERS = StreamSpec(
    slug="orders",
    entity="order",
    contract=c.Order,
    record_key=("Id",),
    entity_key=lambda r: r.ErpNumber__c,
    # A copy of what the ERP holds. Its status is as of when it was written: the ERP says more.
    fields={
        "customer": "Account.AccountNumber",
        "currency": "CurrencyIsoCode",
        "total": From("Total__c", money),
    },
    version=From("SystemModstamp"),
    deleted=lambda r: r.IsDeleted,
    keeps=("ErpNumber__c", "IsDeleted"),
    page_size=2000,
    interval=timedelta(seconds=120),
    objective=timedelta(seconds=900),
    options={
        "object": "Order",
        "select": "Id,ErpNumber__c,Account.AccountNumber,CurrencyIsoCode,Total__c,SystemModstamp,"
        "IsDeleted",
    },
)
