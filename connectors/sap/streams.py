"""SAP's streams: which service, which fields, and what they mean to us.

Each is read in the order of its key: SAP pages by counting rows, and in the order of their change
time a row that changes meanwhile would move to the end and let another slip past unread.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from connectors.runtime.declare import Child, From, StreamSpec
from connectors.sap import contracts as c

#: Sales organisation to market, as the company is set up in SAP.
MARKETS = {"1010": "DE", "1710": "US"}
#: Plant to warehouse.
WAREHOUSES = {"1010": "AMS", "1710": "LYS"}
#: Prices of one piece are kept to this.
PRICE_STEP = Decimal("0.0001")
#: Overall processing status (SAP domain STATV).
STATUS = {"A": "open", "B": "processing", "C": "completed"}


def market(organization: str) -> str:
    """The market of a sales organisation. Raises ValueError that names the remedy."""
    if organization not in MARKETS:
        raise ValueError(f"sales organisation {organization!r} belongs to no market (MARKETS)")
    return MARKETS[organization]


def warehouse(plant: str) -> str:
    """The warehouse of a plant. Raises ValueError that names the remedy."""
    if plant not in WAREHOUSES:
        raise ValueError(f"plant {plant!r} is no warehouse of ours (WAREHOUSES)")
    return WAREHOUSES[plant]


def status(code: str, rejection: str | None) -> str:
    """An overall status as a word. Raises ValueError for an unknown code.

    An order whose items are all rejected is done as well, and never was delivered.
    """
    if rejection == "C":
        return "cancelled"
    if code not in STATUS:
        raise ValueError(f"unknown overall status {code!r}")
    return STATUS[code]


def until(end: datetime) -> date | None:
    """SAP's 9999-12-31 means open-ended."""
    return None if end.year == 9999 else end.date()


def changed(on: datetime | None, at: time | None) -> datetime | None:
    """A business partner's change time from its date and its time of day."""
    if on is None:
        return None
    return datetime.combine(on.date(), at or time(), UTC)


def unit_price(amount: Decimal, quantity: Decimal) -> Decimal | None:
    """Net price of one piece."""
    return (amount / quantity).quantize(PRICE_STEP) if quantity else None


def price_key(record: c.PriceValidity) -> str:
    """`sku/market/currency/first day`."""
    currency = record.to_SlsPrcgConditionRecord.ConditionRateValueUnit
    first = record.ConditionValidityStartDate.date()
    return f"{record.Material}/{market(record.SalesOrganization)}/{currency}/{first}"


PRODUCTS = StreamSpec(
    slug="products",
    entity="variant",
    contract=c.Product,
    record_key=("Product",),
    entity_key=lambda r: r.Product,
    fields={
        "product": From("CrossPlantConfigurableProduct", lambda code: code or None),
        "gtin": From("ProductStandardID", lambda gtin: gtin or None),
        "group": "ProductGroup",
        "unit": "BaseUnit",
    },
    version=From("LastChangeDateTime"),
    options={"path": "API_PRODUCT_SRV/A_Product", "order": "Product"},
)

CUSTOMERS = StreamSpec(
    slug="customers",
    entity="customer",
    contract=c.BusinessPartner,
    record_key=("BusinessPartner",),
    entity_key=lambda r: r.BusinessPartner,
    fields={
        "name": "BusinessPartnerFullName",
        "first_name": From("FirstName", lambda name: name or None),
        "last_name": From("LastName", lambda name: name or None),
    },
    version=From("LastChangeDate", changed, more=("LastChangeTime",)),
    keeps=("CreationDate",),
    options={
        "path": "API_BUSINESS_PARTNER/A_BusinessPartner",
        "order": "BusinessPartner",
        # The service has a day and a time of day; asking by day alone and reading the day again
        # is the filter that every release understands.
        "since": "LastChangeDate ge datetime'{:%Y-%m-%dT00:00:00}'",
    },
)

PRICES = StreamSpec(
    slug="prices",
    entity="price",
    contract=c.PriceValidity,
    record_key=("ConditionRecord",),
    entity_key=price_key,
    fields={
        "variant": "Material",
        "market": From("SalesOrganization", market),
        "currency": "to_SlsPrcgConditionRecord.ConditionRateValueUnit",
        "amount": "to_SlsPrcgConditionRecord.ConditionRateValue",
        "valid_from": From("ConditionValidityStartDate", c.day),
        "valid_to": From("ConditionValidityEndDate", until),
    },
    version=None,
    keeps=("ConditionType",),
    incremental=False,
    interval=timedelta(seconds=300),
    objective=timedelta(seconds=900),
    options={
        "path": "API_SLSPRICINGCONDITIONRECORD_SRV/A_SlsPrcgCndnRecdValidity",
        "order": "ConditionRecord",
        "expand": "to_SlsPrcgConditionRecord",
    },
)

LINES = Child(
    slug="order_lines",
    entity="order_line",
    path="to_Item.results",
    attribute="to_Item.results",
    record_key=lambda item: item.SalesOrderItem.lstrip("0"),
    entity_key=lambda order, item: f"{order.SalesOrder}/{item.SalesOrderItem.lstrip('0')}",
    parent_fields={"order": "SalesOrder"},
    fields={
        "position": From("SalesOrderItem", int),
        "variant": "Material",
        "quantity": "RequestedQuantity",
        "unit_price": From("NetAmount", unit_price, more=("RequestedQuantity",)),
    },
)

ORDERS = StreamSpec(
    slug="orders",
    entity="order",
    contract=c.SalesOrder,
    record_key=("SalesOrder",),
    entity_key=lambda r: r.SalesOrder,
    fields={
        "customer": "SoldToParty",
        "market": From("SalesOrganization", market),
        "currency": "TransactionCurrency",
        "total": "TotalNetAmount",
        "status": From("OverallSDProcessStatus", status, more=("OverallSDDocumentRejectionSts",)),
        "placed_at": "CreationDate",
    },
    version=From("LastChangeDateTime"),
    children=(LINES,),
    options={
        "path": "API_SALES_ORDER_SRV/A_SalesOrder",
        "order": "SalesOrder",
        "expand": "to_Item",
    },
)

STOCK = StreamSpec(
    slug="stock",
    entity="stock",
    contract=c.MaterialStock,
    record_key=("Material", "Plant"),
    entity_key=lambda r: f"{r.Material}/{warehouse(r.Plant)}",
    fields={
        "variant": "Material",
        "warehouse": From("Plant", warehouse),
        "on_hand": "MatlWrhsStkQtyInMatlBaseUnit",
    },
    incremental=False,
    interval=timedelta(seconds=300),
    objective=timedelta(seconds=900),
    options={
        "path": "API_MATERIAL_STOCK_SRV/A_MatlStkInAcctMod",
        "order": "Material,Plant",
    },
)
