"""What SAP S/4HANA publishes (edmx OData V2).

Written by `manage.py contract generate`; changes by hand are lost. What we demand beyond what is
published stands in the connector's `contracts.py`.
"""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

from connectors.contracts.wire import ODataClock, ODataMoment
from connectors.runtime.declare import Contract


class A_ProductType(Contract):
    VERSION: ClassVar[str] = "a46a99e5c42f"
    Product: str
    CrossPlantConfigurableProduct: str | None
    ProductGroup: str | None
    BaseUnit: str | None
    ProductStandardID: str | None
    LastChangeDateTime: ODataMoment | None


class A_BusinessPartnerType(Contract):
    VERSION: ClassVar[str] = "4fe9a51ec18e"
    BusinessPartner: str
    BusinessPartnerFullName: str | None
    FirstName: str | None
    LastName: str | None
    CreationDate: ODataMoment | None
    LastChangeDate: ODataMoment | None
    LastChangeTime: ODataClock | None


class A_SlsPrcgConditionRecordType(Contract):
    VERSION: ClassVar[str] = "bf1be2a4515e"
    ConditionRateValue: Decimal | None
    ConditionRateValueUnit: str | None


class A_SlsPrcgCndnRecdValidityType(Contract):
    VERSION: ClassVar[str] = "bc613f16be01"
    ConditionRecord: str
    ConditionValidityEndDate: ODataMoment
    ConditionValidityStartDate: ODataMoment | None
    ConditionType: str | None
    SalesOrganization: str | None
    Material: str | None
    to_SlsPrcgConditionRecord: A_SlsPrcgConditionRecordType | None


class A_SalesOrderItemType(Contract):
    VERSION: ClassVar[str] = "fda71c61a2a1"
    SalesOrderItem: str
    Material: str | None
    RequestedQuantity: Decimal | None
    NetAmount: Decimal | None


class A_SalesOrderItemType_results(Contract):
    """A_SalesOrderItemType.results."""

    VERSION: ClassVar[str] = "f68e5750f3b1"
    results: list[A_SalesOrderItemType]


class A_SalesOrderType(Contract):
    VERSION: ClassVar[str] = "2a0198024602"
    SalesOrder: str
    SoldToParty: str | None
    SalesOrganization: str | None
    TransactionCurrency: str | None
    TotalNetAmount: Decimal | None
    OverallSDProcessStatus: str | None
    OverallSDDocumentRejectionSts: str | None
    CreationDate: ODataMoment | None
    LastChangeDateTime: ODataMoment | None
    to_Item: A_SalesOrderItemType_results


class A_MatlStkInAcctModType(Contract):
    VERSION: ClassVar[str] = "e03e74f7cf07"
    Material: str
    Plant: str
    MatlWrhsStkQtyInMatlBaseUnit: Decimal | None
