"""What SAP S/4HANA's OData V2 services promise, in SAP's own names, limited to what is mapped."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator

from connectors.runtime.declare import Contract

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DATE = re.compile(r"/Date\((-?\d+)(?:[+-]\d{4})?\)/")
_DURATION = re.compile(r"PT(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?")


def moment(value: Any) -> Any:
    """`/Date(ms)/`, with or without an offset: ms are UTC either way (OData V2, JSON format)."""
    if isinstance(value, str) and (found := _DATE.fullmatch(value)):
        return _EPOCH + timedelta(milliseconds=int(found[1]))
    return value


def clock(value: Any) -> Any:
    """`PT15H55M42S` as a time of day."""
    if isinstance(value, str) and (found := _DURATION.fullmatch(value)):
        hours, minutes, seconds = found[1] or 0, found[2] or 0, float(found[3] or 0)
        return time(int(hours), int(minutes), int(seconds))
    return value


Moment = Annotated[datetime, BeforeValidator(moment)]
Clock = Annotated[time, BeforeValidator(clock)]


class Description(Contract):
    Language: str
    ProductDescription: str


class Descriptions(Contract):
    results: list[Description] = []


class Product(Contract):
    """A_Product of API_PRODUCT_SRV."""

    Product: str
    CrossPlantConfigurableProduct: str
    ProductGroup: str
    BaseUnit: str
    ProductStandardID: str
    LastChangeDateTime: Moment


class BusinessPartner(Contract):
    """A_BusinessPartner of API_BUSINESS_PARTNER: its change time is a date and a time of day."""

    BusinessPartner: str
    BusinessPartnerFullName: str | None
    FirstName: str | None = None
    LastName: str | None = None
    LastChangeDate: Moment | None
    LastChangeTime: Clock | None
    CreationDate: Moment | None = None


class Condition(Contract):
    """A_SlsPrcgConditionRecord."""

    ConditionRateValue: Decimal
    ConditionRateValueUnit: str


class PriceValidity(Contract):
    """A_SlsPrcgCndnRecdValidity with its condition record expanded."""

    ConditionRecord: str
    ConditionValidityStartDate: Moment
    ConditionValidityEndDate: Moment
    ConditionType: str
    SalesOrganization: str
    Material: str
    to_SlsPrcgConditionRecord: Condition


class OrderItem(Contract):
    """A_SalesOrderItem."""

    SalesOrderItem: str
    Material: str
    RequestedQuantity: Decimal
    NetAmount: Decimal


class OrderItems(Contract):
    results: list[OrderItem]


class SalesOrder(Contract):
    """A_SalesOrder with its items expanded."""

    SalesOrder: str
    SoldToParty: str
    SalesOrganization: str
    TransactionCurrency: str
    TotalNetAmount: Decimal
    OverallSDProcessStatus: str
    CreationDate: Moment
    LastChangeDateTime: Moment
    to_Item: OrderItems


class MaterialStock(Contract):
    """A_MatlStkInAcctMod: SAP gives it no change time."""

    Material: str
    Plant: str
    MatlWrhsStkQtyInMatlBaseUnit: Decimal


def day(value: datetime) -> date:
    """The calendar day of an SAP date."""
    return value.date()
