"""What Salesforce's objects promise, by their API names (REST API, sObject describe)."""

from __future__ import annotations

from datetime import datetime

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
    SystemModstamp: datetime
    IsDeleted: bool = False


class ParentAccount(Contract):
    AccountNumber: str | None


class Contact(Contract):
    Id: str
    FirstName: str | None
    LastName: str | None
    Email: str | None
    Account: ParentAccount | None
    SystemModstamp: datetime
    IsDeleted: bool = False


class Review(Contract):
    """The company's own object Review__c."""

    Id: str
    ProductCode__c: str
    Rating__c: float
    Title__c: str | None
    Body__c: str | None
    Author__c: str | None
    CreatedDate: datetime
    SystemModstamp: datetime
    IsDeleted: bool = False
