"""What Salesforce's objects promise, by their API names (REST API, sObject describe)."""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, Strict

from connectors.runtime.declare import Contract


class Account(Contract):
    Id: str
    Name: str
    AccountNumber: str | None
    Phone: str | None
    BillingStreet: str | None
    BillingCity: str | None
    BillingPostalCode: str | None
    BillingCountry: str | None
    SystemModstamp: AwareDatetime
    IsDeleted: bool = False


class ParentAccount(Contract):
    AccountNumber: str | None


class Contact(Contract):
    Id: str
    FirstName: str | None
    LastName: str | None
    Email: str | None
    Account: ParentAccount | None
    SystemModstamp: AwareDatetime
    IsDeleted: bool = False


class Review(Contract):
    """The company's own object Review__c."""

    Id: str
    ProductCode__c: str
    Rating__c: Annotated[float, Strict()]
    Title__c: str | None
    Body__c: str | None
    Author__c: str | None
    CreatedDate: AwareDatetime
    SystemModstamp: AwareDatetime
    IsDeleted: bool = False
