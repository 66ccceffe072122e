"""Orders written to the simulated S/4HANA, and what stands in their way."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
import requests

from connectors.sandbox.server import SandboxServer

ORDERS = "API_SALES_ORDER_SRV/A_SalesOrder"
ITEMS = "API_SALES_ORDER_SRV/A_SalesOrderItem"
CREDIT = "API_CRDTMBUSINESSPARTNER/CreditManagementAccount"
BLOCKED, EXHAUSTED = "10000014", "10000008"


class Erp(requests.Session):
    """A client that is logged on and has fetched its token."""

    def __init__(self, sandbox: SandboxServer) -> None:
        super().__init__()
        self.root = f"{sandbox.url}/sap/opu/odata/sap/"
        self.control = f"{sandbox.url}/_control"
        self.auth = ("HEADWATER", "sandbox-sap")
        fetch = {"X-CSRF-Token": "Fetch"}
        given = self.get(f"{self.root}API_SALES_ORDER_SRV/", headers=fetch, timeout=5)
        self.headers["X-CSRF-Token"] = given.headers["X-CSRF-Token"]

    def order(self, **more: Any) -> requests.Response:
        body = {
            "SalesOrderType": "OR",
            "SalesOrganization": "1010",
            "DistributionChannel": "10",
            "OrganizationDivision": "00",
            "SoldToParty": "10000001",
            "PurchaseOrderByCustomer": "cmd_1.order",
            "to_Item": [
                {"Material": "P-000001-01", "RequestedQuantity": "2"},
                {"Material": "P-000002-02", "RequestedQuantity": "1"},
            ],
        }
        return self.post(self.root + ORDERS, json=body | more, timeout=5)

    def found(self, **options: Any) -> list[dict[str, Any]]:
        query = {f"${name}": value for name, value in options.items()}
        answer = self.get(self.root + ORDERS, params=query, timeout=5)
        found: list[dict[str, Any]] = answer.json()["d"]["results"]
        return found

    def credit(self, partner: str) -> dict[str, Any]:
        key = f"(BusinessPartner='{partner}',CreditSegment='1000')"
        found: dict[str, Any] = self.get(self.root + CREDIT + key, timeout=5).json()["d"]
        return found

    def reject(self, order: str, item: str, reason: str = "50") -> requests.Response:
        key = f"(SalesOrder='{order}',SalesOrderItem='{item}')"
        body = {"SalesDocumentRjcnReason": reason}
        return self.patch(self.root + ITEMS + key, json=body, headers={"If-Match": "*"}, timeout=5)


@pytest.fixture
def erp(sandbox: SandboxServer) -> Erp:
    return Erp(sandbox)


def test_an_order_is_priced_numbered_and_answered_with_its_items(
    sandbox: SandboxServer, erp: Erp
) -> None:
    world = sandbox.sandbox.world
    answer = erp.order()
    assert answer.status_code == 201
    order = answer.json()["d"]
    assert order["SalesOrder"] == f"{world.n_orders + 1:010d}"
    assert answer.headers["Location"].endswith(f"A_SalesOrder('{order['SalesOrder']}')")
    nets = [Decimal(item["NetAmount"]) * 100 for item in order["to_Item"]["results"]]
    assert nets == [2 * world.price_minor(0, "1010"), world.price_minor(2, "1010")]
    assert Decimal(order["TotalNetAmount"]) * 100 == sum(nets)
    assert order["TransactionCurrency"] == "EUR"
    (read,) = erp.found(filter=f"SalesOrder eq '{order['SalesOrder']}'", expand="to_Item")
    assert len(read["to_Item"]["results"]) == 2


def test_two_equal_orders_are_two_orders_and_the_reference_finds_them(erp: Erp) -> None:
    first, second = (erp.order().json()["d"]["SalesOrder"] for _ in range(2))
    assert first != second
    found = erp.found(filter="PurchaseOrderByCustomer eq 'cmd_1.order'")
    assert {order["SalesOrder"] for order in found} == {first, second}
    assert erp.found(filter="PurchaseOrderByCustomer eq 'cmd_2.order'") == []
    made = requests.get(f"{erp.control}/references/sap?reference=cmd_1.order", timeout=5).json()
    assert made["references"] == {"A_SalesOrder": {"cmd_1.order": 2}}
    many = requests.get(f"{erp.control}/references/sap?many", timeout=5).json()
    assert many == made


def test_a_price_by_hand_counts_for_the_item(erp: Erp) -> None:
    by_hand = [{"ConditionType": "PMP0", "ConditionRateValue": "3.33", "ConditionCurrency": "EUR"}]
    item = {"Material": "P-000001-01", "RequestedQuantity": "3", "to_PricingElement": by_hand}
    assert erp.order(to_Item={"results": [item]}).json()["d"]["TotalNetAmount"] == "9.99"


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"SoldToParty": "99999999"}, "VP/204"),
        ({"to_Item": [{"Material": "NONE", "RequestedQuantity": "1"}]}, "V1/382"),
        ({"SoldToParty": BLOCKED}, "V1/154"),
        ({"SoldToParty": EXHAUSTED}, "V1/150"),
        ({"PurchaseOrderByCustomer": "x" * 36}, "005056A509B11EE1B9A8FEC11C21D78E"),
        ({"to_Item": []}, "005056A509B11EE1B9A8FEC11C21D78E"),
        ({"SalesOrganization": ""}, "005056A509B11EE1B9A8FEC11C21D78E"),
        ({"TotalNetAmount": "1"}, "005056A509B11EE1B9A8FEC11C21D78E"),
        ({"TransactionCurrency": "JPY"}, "005056A509B11EE1B9A8FEC11C21D78E"),
        ({"Colour": "red"}, "005056A509B11EE1B9A8FEC11C21D78E"),
        ({"to_Item": [{"Material": "P-000001-01", "RequestedQuantity": "-1"}]},
         "005056A509B11EE1B9A8FEC11C21D78E"),
    ],
)  # fmt: skip
def test_a_refused_order_leaves_nothing_behind(erp: Erp, more: dict[str, Any], code: str) -> None:
    if more.get("SoldToParty") == EXHAUSTED:
        item = {"Material": "P-000001-01", "RequestedQuantity": "100"}
        more = more | {"to_Item": [item]}
    refused = erp.order(**more)
    assert refused.status_code == 400
    error = refused.json()["error"]
    assert error["code"] == error["innererror"]["errordetails"][0]["code"] == code
    assert error["message"]["value"]
    references = requests.get(f"{erp.control}/references/sap", timeout=5).json()["references"]
    assert references == {}


def test_an_order_without_a_price_is_refused(erp: Erp) -> None:
    number = "0000000001"  # of P-000001-01 in 1010
    past = {"ConditionValidityEndDate": "/Date(1767225600000)/"}
    address = f"{erp.control}/sap/A_SlsPrcgCndnRecdValidity/{number}"
    requests.post(address, json=past, timeout=5).raise_for_status()
    assert erp.order().json()["error"]["code"] == "V1/801"


def test_an_order_takes_up_credit_and_its_rejection_gives_it_back(erp: Erp) -> None:
    before = Decimal(erp.credit("10000002")["CustomerCreditExposureAmount"])
    order = erp.order(SoldToParty="10000002").json()["d"]
    account = erp.credit("10000002")
    taken = Decimal(account["CustomerCreditExposureAmount"]) - before
    total = Decimal(order["TotalNetAmount"])
    assert taken == (total if account["CreditSegmentCurrency"] == "EUR" else total * Decimal("1.1"))
    assert erp.reject(order["SalesOrder"], "10").status_code == 204
    assert erp.reject(order["SalesOrder"], "20").status_code == 204
    assert Decimal(erp.credit("10000002")["CustomerCreditExposureAmount"]) == before


def test_an_order_is_rejected_item_by_item(erp: Erp) -> None:
    order = erp.order().json()["d"]["SalesOrder"]

    def state() -> tuple[str, str]:
        (found,) = erp.found(filter=f"SalesOrder eq '{order}'")
        return found["OverallSDDocumentRejectionSts"], found["OverallSDProcessStatus"]

    assert state() == ("A", "A")
    erp.reject(order, "10")
    assert state() == ("B", "A")
    erp.reject(order, "20")
    assert state() == ("C", "C")
    erp.reject(order, "20")  # again: nothing more happens
    assert state() == ("C", "C")
    assert erp.reject(order, "30").status_code == 404


def test_a_completed_order_is_not_rejected(sandbox: SandboxServer, erp: Erp) -> None:
    world = sandbox.sandbox.world
    done = next(o for o in range(world.n_orders) if world.order(o).status == "completed")
    assert erp.reject(world.order(done).number, "10").status_code == 400


def test_writing_needs_the_token_and_the_state_that_was_read(erp: Erp) -> None:
    order = erp.order().json()["d"]["SalesOrder"]
    address = f"{erp.root}{ITEMS}(SalesOrder='{order}',SalesOrderItem='10')"
    body = {"SalesDocumentRjcnReason": "50"}
    assert erp.patch(address, json=body, timeout=5).status_code == 428
    read = erp.get(address, timeout=5)
    assert erp.reject(order, "20").status_code == 204
    stale = erp.patch(address, json=body, headers={"If-Match": read.headers["ETag"]}, timeout=5)
    assert stale.status_code == 412
    erp.headers["X-CSRF-Token"] = "of yesterday"
    refused = erp.order()
    assert (refused.status_code, refused.headers["X-CSRF-Token"]) == (403, "Required")


def test_credit_accounts_are_listed_by_partner_and_by_block(erp: Erp) -> None:
    def ask(filter_: str) -> list[dict[str, Any]]:
        answer = erp.get(erp.root + CREDIT, params={"$filter": filter_}, timeout=5)
        found: list[dict[str, Any]] = answer.json()["d"]["results"]
        return found

    (one,) = ask("BusinessPartner eq '10000001'")
    assert Decimal(one["CreditLimitAmount"]) > Decimal(one["CustomerCreditExposureAmount"])
    assert one["CreditAccountIsBlocked"] is False
    assert ask("CreditAccountIsBlocked eq true")[0]["BusinessPartner"] == BLOCKED
