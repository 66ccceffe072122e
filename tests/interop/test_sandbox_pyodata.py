"""The simulated S/4HANA, read and written by an independent client: SAP's own `pyodata`."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pyodata
import pytest
import requests

from connectors.sandbox.server import SandboxServer
from tests.sandboxes import running

SERVICES = (
    "API_PRODUCT_SRV", "API_BUSINESS_PARTNER", "API_SLSPRICINGCONDITIONRECORD_SRV",
    "API_SALES_ORDER_SRV", "API_MATERIAL_STOCK_SRV", "API_CRDTMBUSINESSPARTNER",
)  # fmt: skip


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    with running(120) as server:
        yield server


def client(sandbox: SandboxServer, service: str) -> Any:
    session = requests.Session()
    session.auth = ("HEADWATER", "sandbox-sap")
    root = f"{sandbox.url}/sap/opu/odata/sap/{service}/"
    token = session.get(root, headers={"x-csrf-token": "fetch"}, timeout=5).headers["x-csrf-token"]
    session.headers["x-csrf-token"] = token
    return pyodata.Client(root, session)


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_describes_itself(sandbox: SandboxServer, service: str) -> None:
    assert client(sandbox, service).schema.entity_sets


def test_products_are_filtered_counted_and_expanded(sandbox: SandboxServer) -> None:
    products = client(sandbox, "API_PRODUCT_SRV").entity_sets.A_Product
    world = sandbox.sandbox.world
    assert products.get_entities().count().execute() == world.variant_count()
    found = products.get_entities().filter("Product eq 'P-000002-02'").expand("to_Description")
    (product,) = found.execute()
    facts = world.variant_facts(2)
    assert product.ProductStandardID == facts.gtin
    texts = {t.Language: t.ProductDescription for t in product.to_Description}
    assert texts["EN"] == world.product_names(1)["en_US"][:40]
    assert int(product.LastChangeDateTime.timestamp() * 1000) == world.product_updated_ms(1)


def test_one_product_and_its_texts_by_navigation(sandbox: SandboxServer) -> None:
    product = client(sandbox, "API_PRODUCT_SRV").entity_sets.A_Product.get_entity("P-000001-01")
    texts = product.nav("to_Description").get_entities().execute()
    assert {text.Language for text in texts} >= {"EN", "DE"}


def test_prices_are_exact(sandbox: SandboxServer) -> None:
    prices = client(sandbox, "API_SLSPRICINGCONDITIONRECORD_SRV").entity_sets
    validity = prices.A_SlsPrcgCndnRecdValidity.get_entities()
    (record,) = (
        validity.filter("ConditionRecord eq '0000000001'")
        .expand("to_SlsPrcgConditionRecord")
        .execute()
    )
    condition = record.to_SlsPrcgConditionRecord
    expected = sandbox.sandbox.world.price_minor(0, "1010")
    assert Decimal(condition.ConditionRateValue) * 100 == expected


def test_an_order_has_its_items(sandbox: SandboxServer) -> None:
    orders = client(sandbox, "API_SALES_ORDER_SRV").entity_sets.A_SalesOrder
    (order,) = (
        orders.get_entities().filter("SalesOrder eq '0000000003'").expand("to_Item").execute()
    )
    lines = sandbox.sandbox.world.order(2).lines
    assert [item.Material for item in order.to_Item] == [line.sku for line in lines]


def test_stock_is_paged_to_its_end(sandbox: SandboxServer) -> None:
    levels = client(sandbox, "API_MATERIAL_STOCK_SRV").entity_sets.A_MatlStkInAcctMod
    seen, skip = set[tuple[str, str]](), 0
    while page := levels.get_entities().skip(skip).top(100).execute():
        seen |= {(level.Material, level.Plant) for level in page}
        skip += len(page)
    assert len(seen) == sandbox.sandbox.world.variant_count() * 2


def test_a_partner_is_changed(sandbox: SandboxServer) -> None:
    partners = client(sandbox, "API_BUSINESS_PARTNER").entity_sets.A_BusinessPartner
    update = partners.update_entity("10000001").set(FirstName="Änne")
    update.add_headers({"If-Match": "*"})
    update.execute()
    assert partners.get_entity("10000001").execute().FirstName == "Änne"


def test_what_is_not_there_is_an_http_error(sandbox: SandboxServer) -> None:
    products = client(sandbox, "API_PRODUCT_SRV").entity_sets.A_Product
    with pytest.raises(pyodata.exceptions.HttpError) as refused:
        products.get_entity("P-999999-01").execute()
    assert refused.value.response.status_code == 404


def test_an_order_is_created_with_its_items_and_rejected(sandbox: SandboxServer) -> None:
    sales = client(sandbox, "API_SALES_ORDER_SRV").entity_sets
    create = sales.A_SalesOrder.create_entity().set(
        SalesOrderType="OR",
        SalesOrganization="1010",
        DistributionChannel="10",
        OrganizationDivision="00",
        SoldToParty="10000001",
        PurchaseOrderByCustomer="cmd_1.order",
        to_Item=[{"Material": "P-000001-01", "RequestedQuantity": "2"}],
    )
    order = create.execute()
    price = sandbox.sandbox.world.price_minor(0, "1010")
    assert Decimal(order.TotalNetAmount) * 100 == 2 * price
    found = sales.A_SalesOrder.get_entities().filter("PurchaseOrderByCustomer eq 'cmd_1.order'")
    assert [one.SalesOrder for one in found.execute()] == [order.SalesOrder]
    item = {"SalesOrder": order.SalesOrder, "SalesOrderItem": "10"}
    reject = sales.A_SalesOrderItem.update_entity(**item).set(SalesDocumentRjcnReason="50")
    reject.add_headers({"If-Match": "*"})
    reject.execute()
    after = sales.A_SalesOrder.get_entity(order.SalesOrder).execute()
    assert after.OverallSDDocumentRejectionSts == "C"


def test_what_a_customer_may_still_owe(sandbox: SandboxServer) -> None:
    accounts = client(sandbox, "API_CRDTMBUSINESSPARTNER").entity_sets.CreditManagementAccount
    account = accounts.get_entity(BusinessPartner="10000014", CreditSegment="1000").execute()
    assert account.CreditAccountIsBlocked is True
    assert Decimal(account.CreditLimitAmount) >= Decimal(account.CustomerCreditExposureAmount)
