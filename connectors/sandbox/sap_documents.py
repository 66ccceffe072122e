"""SAP's entity sets: their properties with EDM types, and the records as SAP spells them.

Property names and types are those of the published S/4HANA services; only what an integration
reads is here. Decimals are strings, dates `/Date(ms)/`, as the Gateway's OData V2 JSON has them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from connectors.sandbox.ids import mix
from connectors.sandbox.store import Document
from connectors.sandbox.world import World

ORGS = ("1010", "1710")
PLANTS = ("1010", "1710")
CURRENCY = {"1010": "EUR", "1710": "USD"}
FOREVER = "/Date(253402214400000)/"  # 9999-12-31
PRICES_FROM_MS = 1_767_225_600_000  # 2026-01-01
STATUS = {"open": "A", "completed": "C", "cancelled": "C"}
CREDIT_SEGMENT = "1000"
_CREDIT = 8  # a lane of random bits that no fact of the world uses
LANGUAGES = {"EN": "en_US", "DE": "de_DE", "FR": "fr_FR"}


@dataclass(frozen=True)
class EntitySet:
    """One collection of one service. `changed` is the property that a change stamps, if any."""

    service: str
    name: str
    kind: str
    keys: tuple[str, ...]
    properties: dict[str, str]
    expands: dict[str, str]
    changed: str | None


def moment(ms: int) -> str:
    """An Edm.DateTimeOffset in JSON."""
    return f"/Date({ms}+0000)/"


def midnight(ms: int) -> str:
    """An Edm.DateTime of a day in JSON."""
    return f"/Date({ms - ms % 86_400_000})/"


def clock(ms: int) -> str:
    """An Edm.Time in JSON."""
    at = datetime.fromtimestamp(ms / 1000, UTC)
    return f"PT{at.hour:02}H{at.minute:02}M{at.second:02}S"


def amount(minor: int) -> str:
    return f"{minor / 100:.2f}"


_S, _T, _O, _D, _C = "Edm.String", "Edm.DateTime", "Edm.DateTimeOffset", "Edm.Decimal", "Edm.Time"
_B = "Edm.Boolean"
#: Navigation properties that lead to several records.
MANY = ("to_Description", "to_Item", "to_PricingElement")

SETS: tuple[EntitySet, ...] = (
    EntitySet(
        "API_PRODUCT_SRV", "A_Product", "A_ProductType", ("Product",),
        {"Product": _S, "ProductType": _S, "CrossPlantConfigurableProduct": _S, "ProductGroup": _S,
         "BaseUnit": _S, "ProductStandardID": _S, "CreationDate": _T, "LastChangeDate": _T,
         "LastChangeDateTime": _O},
        {"to_Description": "A_ProductDescription"}, "LastChangeDateTime",
    ),
    EntitySet(
        "API_PRODUCT_SRV", "A_ProductDescription", "A_ProductDescriptionType",
        ("Product", "Language"),
        {"Product": _S, "Language": _S, "ProductDescription": _S}, {}, None,
    ),
    EntitySet(
        "API_BUSINESS_PARTNER", "A_BusinessPartner", "A_BusinessPartnerType", ("BusinessPartner",),
        {"BusinessPartner": _S, "BusinessPartnerFullName": _S, "FirstName": _S, "LastName": _S,
         "BusinessPartnerCategory": _S, "CreationDate": _T, "LastChangeDate": _T,
         "LastChangeTime": _C},
        {}, "LastChangeTime",
    ),
    EntitySet(
        "API_SLSPRICINGCONDITIONRECORD_SRV", "A_SlsPrcgCndnRecdValidity",
        "A_SlsPrcgCndnRecdValidityType", ("ConditionRecord", "ConditionValidityEndDate"),
        {"ConditionRecord": _S, "ConditionValidityEndDate": _T, "ConditionValidityStartDate": _T,
         "ConditionType": _S, "SalesOrganization": _S, "DistributionChannel": _S, "Material": _S},
        {"to_SlsPrcgConditionRecord": "A_SlsPrcgConditionRecord"}, None,
    ),
    EntitySet(
        "API_SLSPRICINGCONDITIONRECORD_SRV", "A_SlsPrcgConditionRecord",
        "A_SlsPrcgConditionRecordType", ("ConditionRecord",),
        {"ConditionRecord": _S, "ConditionType": _S, "ConditionRateValue": _D,
         "ConditionRateValueUnit": _S, "ConditionQuantity": _D, "ConditionQuantityUnit": _S},
        {}, None,
    ),
    EntitySet(
        "API_SALES_ORDER_SRV", "A_SalesOrder", "A_SalesOrderType", ("SalesOrder",),
        {"SalesOrder": _S, "SalesOrderType": _S, "SoldToParty": _S, "SalesOrganization": _S,
         "DistributionChannel": _S, "OrganizationDivision": _S, "TransactionCurrency": _S,
         "TotalNetAmount": _D, "OverallSDProcessStatus": _S, "OverallSDDocumentRejectionSts": _S,
         "PurchaseOrderByCustomer": _S, "CreationDate": _T, "LastChangeDateTime": _O},
        {"to_Item": "A_SalesOrderItem"}, "LastChangeDateTime",
    ),
    EntitySet(
        "API_SALES_ORDER_SRV", "A_SalesOrderItem", "A_SalesOrderItemType",
        ("SalesOrder", "SalesOrderItem"),
        {"SalesOrder": _S, "SalesOrderItem": _S, "Material": _S, "RequestedQuantity": _D,
         "RequestedQuantityUnit": _S, "NetAmount": _D, "TransactionCurrency": _S,
         "SalesDocumentRjcnReason": _S},
        {"to_PricingElement": "A_SalesOrderItemPrElement"}, None,
    ),
    EntitySet(
        "API_SALES_ORDER_SRV", "A_SalesOrderItemPrElement", "A_SalesOrderItemPrElementType",
        ("SalesOrder", "SalesOrderItem", "PricingProcedureStep", "PricingProcedureCounter"),
        {"SalesOrder": _S, "SalesOrderItem": _S, "PricingProcedureStep": _S,
         "PricingProcedureCounter": _S, "ConditionType": _S, "ConditionRateValue": _D,
         "ConditionCurrency": _S, "ConditionQuantity": _D, "ConditionQuantityUnit": _S}, {}, None,
    ),
    EntitySet(
        # The exposure is a service of its own in some releases; here it is read with the account.
        "API_CRDTMBUSINESSPARTNER", "CreditManagementAccount", "CreditManagementAccountType",
        ("BusinessPartner", "CreditSegment"),
        {"BusinessPartner": _S, "CreditSegment": _S, "CreditLimitAmount": _D,
         "CreditSegmentCurrency": _S, "CreditLimitValidityEndDate": _T,
         "CustomerCreditExposureAmount": _D, "CreditAccountIsBlocked": _B,
         "CreditAccountBlockReason": _S}, {}, None,
    ),
    EntitySet(
        "API_MATERIAL_STOCK_SRV", "A_MatlStkInAcctMod", "A_MatlStkInAcctModType",
        ("Material", "Plant"),
        {"Material": _S, "Plant": _S, "StorageLocation": _S, "InventoryStockType": _S,
         "MaterialBaseUnit": _S, "MatlWrhsStkQtyInMatlBaseUnit": _D}, {}, None,
    ),
)  # fmt: skip
BY_NAME = {s.name: s for s in SETS}
#: The sets that hold records of their own; the others are reached through `$expand`.
STORED = ("A_Product", "A_BusinessPartner", "A_SlsPrcgCndnRecdValidity", "A_SalesOrder",
          "A_MatlStkInAcctMod", "CreditManagementAccount")  # fmt: skip


def product(world: World, j: int) -> Document:
    i, _ = world.variant(j)
    facts, changed = world.variant_facts(j), world.product_updated_ms(i)
    return {
        "Product": facts.sku,
        "ProductType": "FERT",
        "CrossPlantConfigurableProduct": world.product_code(i),
        "ProductGroup": f"G{int(world.product_category(i).split('_')[1]):03d}",
        "BaseUnit": "PC",
        "ProductStandardID": facts.gtin,
        "CreationDate": midnight(changed),
        "LastChangeDate": midnight(changed),
        "LastChangeDateTime": moment(changed),
    }


def descriptions(world: World, record: Document) -> list[Document]:
    i = world.product_index(record["CrossPlantConfigurableProduct"])
    names = world.product_names(i) if i is not None else {}
    return [
        {
            "Product": record["Product"],
            "Language": language,
            "ProductDescription": names[locale][:40],
        }
        for language, locale in LANGUAGES.items()
        if locale in names
    ]


def partner(world: World, k: int) -> Document:
    facts = world.customer(k)
    return {
        "BusinessPartner": facts.number,
        "BusinessPartnerFullName": facts.name,
        "FirstName": facts.first_name,
        "LastName": facts.last_name,
        "BusinessPartnerCategory": "2",
        "CreationDate": midnight(facts.created_ms),
        "LastChangeDate": midnight(facts.updated_ms),
        "LastChangeTime": clock(facts.updated_ms),
    }


def price(world: World, n: int) -> Document:
    """Condition record n: each variant has one for each sales organisation."""
    j, org = n // 2, ORGS[n % 2]
    number = f"{n + 1:010d}"
    return {
        "ConditionRecord": number,
        "ConditionValidityEndDate": FOREVER,
        "ConditionValidityStartDate": f"/Date({PRICES_FROM_MS})/",
        "ConditionType": "PPR0",
        "SalesOrganization": org,
        "DistributionChannel": "10",
        "Material": world.sku(j),
        "to_SlsPrcgConditionRecord": {
            "ConditionRecord": number,
            "ConditionType": "PPR0",
            "ConditionRateValue": amount(world.price_minor(j, org)),
            "ConditionRateValueUnit": CURRENCY[org],
            "ConditionQuantity": "1",
            "ConditionQuantityUnit": "PC",
        },
    }


def price_number(world: World, sku: str, org: str) -> str | None:
    """The condition record of a variant in a sales organisation."""
    j = world.variant_index(sku)
    return None if j is None or org not in ORGS else f"{j * 2 + ORGS.index(org) + 1:010d}"


def order(world: World, o: int) -> Document:
    facts = world.order(o)
    lines = [
        {
            "SalesOrder": facts.number,
            "SalesOrderItem": f"{line.position:06d}",
            "Material": line.sku,
            "RequestedQuantity": str(line.quantity),
            "RequestedQuantityUnit": "PC",
            "NetAmount": amount(line.quantity * line.unit_price_minor),
            "TransactionCurrency": facts.currency,
            "SalesDocumentRjcnReason": "50" if facts.status == "cancelled" else "",
        }
        for line in facts.lines
    ]
    return {
        "SalesOrder": facts.number,
        "SalesOrderType": "OR",
        "SoldToParty": world.customer(facts.customer_index).number,
        "SalesOrganization": facts.sales_org,
        "DistributionChannel": "10",
        "OrganizationDivision": "00",
        "TransactionCurrency": facts.currency,
        "TotalNetAmount": amount(facts.total_minor),
        "OverallSDProcessStatus": STATUS[facts.status],
        "OverallSDDocumentRejectionSts": "C" if facts.status == "cancelled" else "A",
        "PurchaseOrderByCustomer": "",
        "CreationDate": midnight(facts.placed_ms),
        "LastChangeDateTime": moment(facts.placed_ms),
        "to_Item": {"results": lines},
    }


def credit_account(world: World, k: int) -> Document:
    """Of 29 customers one is blocked (10000014 is the first), one as good as exhausted (10000008)."""
    facts, bits = world.customer(k), mix(world.seed, _CREDIT, k)
    limit = 500_00 if k % 29 == 7 else 25_000_00 * (1 + bits % 20)
    used = limit * 9 // 10 if k % 29 == 7 else limit * ((bits >> 8) % 40) // 100
    blocked = k % 29 == 13
    return {
        "BusinessPartner": facts.number,
        "CreditSegment": CREDIT_SEGMENT,
        "CreditLimitAmount": amount(limit),
        "CreditSegmentCurrency": CURRENCY["1710" if facts.country == "US" else "1010"],
        "CreditLimitValidityEndDate": FOREVER,
        "CustomerCreditExposureAmount": amount(used),
        "CreditAccountIsBlocked": blocked,
        "CreditAccountBlockReason": "01" if blocked else "",
    }


def stock(world: World, n: int) -> Document:
    j, plant = n // 2, PLANTS[n % 2]
    return {
        "Material": world.sku(j),
        "Plant": plant,
        "StorageLocation": "0001",
        "InventoryStockType": "01",
        "MaterialBaseUnit": "PC",
        "MatlWrhsStkQtyInMatlBaseUnit": str(world.sap_on_hand(j, plant)),
    }


def stamp(name: str) -> Callable[[Document, int], None]:
    """Writes a change time into a record, as its set has it."""

    def write(record: Document, ms: int) -> None:
        if name in ("A_Product", "A_SalesOrder"):
            record["LastChangeDateTime"] = moment(ms)
        if name in ("A_Product", "A_BusinessPartner"):
            record["LastChangeDate"] = midnight(ms)
        if name == "A_BusinessPartner":
            record["LastChangeTime"] = clock(ms)

    return write


def edmx(service: str) -> str:
    """The `$metadata` document of a service (OData V2, CSDL 2.0)."""
    sets = [s for s in SETS if s.service == service]
    types, entity_sets, associations, ends = [], [], [], []
    for one in sets:
        keys = "".join(f'<PropertyRef Name="{k}"/>' for k in one.keys)
        properties = "".join(
            f'<Property Name="{name}" Type="{kind}" Nullable="{"false" if name in one.keys else "true"}"'
            + (' Precision="16" Scale="3"' if kind == _D else "")
            + (' Precision="7"' if kind == _O else "")
            + "/>"
            for name, kind in one.properties.items()
        )
        links = ""
        for name, target in one.expands.items():
            to, relation = BY_NAME[target], f"assoc_{one.name}_{target}"
            many = "*" if name in MANY else "0..1"
            links += (
                f'<NavigationProperty Name="{name}" Relationship="{service}.{relation}"'
                f' FromRole="From" ToRole="To"/>'
            )
            associations.append(
                f'<Association Name="{relation}">'
                f'<End Type="{service}.{one.kind}" Multiplicity="1" Role="From"/>'
                f'<End Type="{service}.{to.kind}" Multiplicity="{many}" Role="To"/></Association>'
            )
            ends.append(
                f'<AssociationSet Name="{relation}_AssocSet" Association="{service}.{relation}">'
                f'<End EntitySet="{one.name}" Role="From"/><End EntitySet="{target}" Role="To"/>'
                "</AssociationSet>"
            )
        types.append(
            f'<EntityType Name="{one.kind}"><Key>{keys}</Key>{properties}{links}</EntityType>'
        )
        entity_sets.append(f'<EntitySet Name="{one.name}" EntityType="{service}.{one.kind}"/>')
    return (
        '<?xml version="1.0" encoding="utf-8"?>'
        '<edmx:Edmx Version="1.0" xmlns:edmx="http://schemas.microsoft.com/ado/2007/06/edmx"'
        ' xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata"'
        ' xmlns:sap="http://www.sap.com/Protocols/SAPData">'
        '<edmx:DataServices m:DataServiceVersion="2.0">'
        f'<Schema Namespace="{service}" xmlns="http://schemas.microsoft.com/ado/2008/09/edm">'
        + "".join(types)
        + "".join(associations)
        + f'<EntityContainer Name="{service}_Entities" m:IsDefaultEntityContainer="true">'
        + "".join(entity_sets)
        + "".join(ends)
        + "</EntityContainer></Schema></edmx:DataServices></edmx:Edmx>"
    )
