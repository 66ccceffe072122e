"""What we demand of SAP's records beyond what SAP publishes.

`$metadata` lets all but the keys be null (CSDL 2.0, "Nullable"), and never says what an entity is
useless without: a price without an amount is held for a person, not stored as no price. What is
not repeated here is as published.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from connectors.contracts.wire import ODataMoment as Moment
from connectors.sap import published


class Product(published.A_ProductType):
    CrossPlantConfigurableProduct: str
    ProductGroup: str
    BaseUnit: str
    ProductStandardID: str
    LastChangeDateTime: Moment


class BusinessPartner(published.A_BusinessPartnerType):
    """Its change time is a date and a time of day. An organisation has no first name to send."""

    FirstName: str | None = None
    LastName: str | None = None
    CreationDate: Moment | None = None


class Condition(published.A_SlsPrcgConditionRecordType):
    ConditionRateValue: Decimal
    ConditionRateValueUnit: str


class PriceValidity(published.A_SlsPrcgCndnRecdValidityType):
    ConditionValidityStartDate: Moment
    ConditionType: str
    SalesOrganization: str
    Material: str
    to_SlsPrcgConditionRecord: Condition


class OrderItem(published.A_SalesOrderItemType):
    Material: str
    RequestedQuantity: Decimal
    NetAmount: Decimal


class OrderItems(published.A_SalesOrderItemType_results):
    results: list[OrderItem]  # type: ignore[assignment] # stricter, and nobody appends to it


class SalesOrder(published.A_SalesOrderType):
    SoldToParty: str
    SalesOrganization: str
    TransactionCurrency: str
    TotalNetAmount: Decimal
    OverallSDProcessStatus: str
    #: Not in what was stored before it was asked for.
    OverallSDDocumentRejectionSts: str | None = None
    CreationDate: Moment
    LastChangeDateTime: Moment
    to_Item: OrderItems


class MaterialStock(published.A_MatlStkInAcctModType):
    """SAP gives it no change time."""

    MatlWrhsStkQtyInMatlBaseUnit: Decimal


def day(value: datetime) -> date:
    """The calendar day of an SAP date."""
    return value.date()
