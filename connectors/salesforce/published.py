"""What Salesforce publishes (describe).

Written by `manage.py contract generate`; changes by hand are lost. What we demand beyond what is
published stands in the connector's `contracts.py`.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import AwareDatetime, Field

from connectors.contracts.wire import Boolean, Number
from connectors.runtime.declare import Contract


class AccountRecord(Contract):
    """Account."""

    VERSION: ClassVar[str] = "a168ac8136aa"
    Id: Annotated[str, Field(max_length=18)]
    IsDeleted: Boolean
    Name: Annotated[str, Field(max_length=255)]
    AccountNumber: Annotated[str, Field(max_length=40)] | None
    Phone: Annotated[str, Field(max_length=40)] | None
    BillingStreet: Annotated[str, Field(max_length=255)] | None
    BillingCity: Annotated[str, Field(max_length=40)] | None
    BillingPostalCode: Annotated[str, Field(max_length=20)] | None
    BillingCountry: Annotated[str, Field(max_length=80)] | None
    SystemModstamp: AwareDatetime


class Contact_Account(Contract):
    """Account."""

    VERSION: ClassVar[str] = "e0825e80d3b9"
    AccountNumber: Annotated[str, Field(max_length=40)] | None


class Contact(Contract):
    VERSION: ClassVar[str] = "bf2a784abcda"
    Id: Annotated[str, Field(max_length=18)]
    IsDeleted: Boolean
    Account: Contact_Account | None
    FirstName: Annotated[str, Field(max_length=40)] | None
    LastName: Annotated[str, Field(max_length=80)]
    Email: Annotated[str, Field(max_length=80)] | None
    SystemModstamp: AwareDatetime


class Review__c(Contract):
    VERSION: ClassVar[str] = "2c1698061d2b"
    Id: Annotated[str, Field(max_length=18)]
    IsDeleted: Boolean
    ProductCode__c: Annotated[str, Field(max_length=60)]
    Rating__c: Number
    Title__c: Annotated[str, Field(max_length=255)] | None
    Body__c: Annotated[str, Field(max_length=32768)] | None
    Author__c: Annotated[str, Field(max_length=120)] | None
    CreatedDate: AwareDatetime
    SystemModstamp: AwareDatetime


class Auction_Lot__c(Contract):
    VERSION: ClassVar[str] = "f7c37c2032ee"
    Id: Annotated[str, Field(max_length=18)]
    IsDeleted: Boolean
    LotNumber__c: Annotated[str, Field(max_length=40)]
    Title__c: Annotated[str, Field(max_length=255)] | None
    ProductSku__c: Annotated[str, Field(max_length=60)]
    OpensAt__c: AwareDatetime
    ClosesAt__c: AwareDatetime
    CurrencyIsoCode: Literal["EUR", "USD"]
    StartPrice__c: Number
    BidIncrement__c: Number
    ReservePrice__c: Number | None
    Status__c: Annotated[str, Field(max_length=40)]
    SystemModstamp: AwareDatetime


class Order(Contract):
    VERSION: ClassVar[str] = "bb6a23892fb9"
    Id: Annotated[str, Field(max_length=18)]
    IsDeleted: Boolean
    Account: Contact_Account | None
    CurrencyIsoCode: Literal["EUR", "USD"] | None
    ErpNumber__c: Annotated[str, Field(max_length=20)] | None
    Total__c: Number | None
    SystemModstamp: AwareDatetime
