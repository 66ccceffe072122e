"""What we demand of Salesforce's records beyond what its describes publish.

`IsDeleted` is not in what a change event tells; a record that does not say so is not deleted.
"""

from __future__ import annotations

from connectors.salesforce import published


class Account(published.AccountRecord):
    IsDeleted: bool = False


class Contact(published.Contact):
    IsDeleted: bool = False


class Review(published.Review__c):
    """The company's own object Review__c."""

    IsDeleted: bool = False


class Lot(published.Auction_Lot__c):
    """The company's own object Auction_Lot__c."""

    IsDeleted: bool = False


class Order(published.Order):
    """The copy of an order; the fields that end in `__c` are the company's own."""

    IsDeleted: bool = False
