"""The simulated S/4HANA, over HTTP: OData V2 as SAP Gateway speaks it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

import pytest
import requests

from connectors.sandbox.server import SandboxServer

PRODUCTS = "API_PRODUCT_SRV/A_Product"
PRICES = "API_SLSPRICINGCONDITIONRECORD_SRV/A_SlsPrcgCndnRecdValidity"
PARTNERS = "API_BUSINESS_PARTNER/A_BusinessPartner"
ORDERS = "API_SALES_ORDER_SRV/A_SalesOrder"
STOCK = "API_MATERIAL_STOCK_SRV/A_MatlStkInAcctMod"


class Erp(requests.Session):
    """A client that is logged on."""

    def __init__(self, sandbox: SandboxServer) -> None:
        super().__init__()
        self.root = f"{sandbox.url}/sap/opu/odata/sap/"
        self.world = sandbox.sandbox.world
        self.auth = ("HEADWATER", "sandbox-sap")
        self.headers["sap-client"] = "100"

    def read(self, path: str, **options: Any) -> requests.Response:
        query = {f"${name}": value for name, value in options.items()}
        return self.get(self.root + path, params=query, timeout=5)

    def results(self, path: str, **options: Any) -> list[dict[str, Any]]:
        answer = self.read(path, **options)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["d"]["results"]
        return found

    def walk(self, path: str, **options: Any) -> list[dict[str, Any]]:
        """Every record, by following the server's links."""
        found: list[dict[str, Any]] = []
        link: str | None = self.read(path, **options).url
        while link:
            body = self.get(link, timeout=5).json()["d"]
            found += body["results"]
            link = body.get("__next")
        return found

    def change(self, path: str, body: dict[str, Any], **headers: str) -> requests.Response:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.patch(self.root + path, json=body, headers=names, timeout=5)

    def token(self) -> str:
        fetch = {"X-CSRF-Token": "Fetch"}
        return self.get(self.root + PRODUCTS + "?$top=0", headers=fetch, timeout=5).headers[
            "x-csrf-token"
        ]


@pytest.fixture
def erp(sandbox: SandboxServer) -> Erp:
    return Erp(sandbox)


def test_who_is_not_logged_on_is_asked_to(erp: Erp) -> None:
    erp.auth = ("HEADWATER", "wrong")
    refused = erp.read(PRODUCTS)
    assert refused.status_code == 401
    assert refused.headers["WWW-Authenticate"].startswith("Basic")


def test_the_server_pages_by_itself_and_its_links_are_absolute(erp: Erp) -> None:
    first = erp.read(PRODUCTS, format="json").json()["d"]
    assert len(first["results"]) == 1000
    assert first["__next"].startswith("http://")
    assert "$skiptoken=" in unquote(first["__next"])
    skus = [record["Product"] for record in erp.walk(PRODUCTS)]
    assert skus == [erp.world.sku(j) for j in range(erp.world.variant_count())]


def test_top_and_skip_cut_and_top_ends_the_reading(erp: Erp) -> None:
    body = erp.read(PRODUCTS, top=5, skip=3).json()["d"]
    assert [r["Product"] for r in body["results"]] == [erp.world.sku(j) for j in range(3, 8)]
    assert "__next" not in body


def test_a_product_as_sap_spells_it(erp: Erp) -> None:
    facts = erp.world.variant_facts(1)
    (record,) = erp.results(PRODUCTS, filter=f"Product eq '{facts.sku}'", expand="to_Description")
    assert record["CrossPlantConfigurableProduct"] == "P-000002"
    assert record["ProductStandardID"] == facts.gtin
    assert re.fullmatch(r"/Date\(\d+\+0000\)/", record["LastChangeDateTime"])
    assert re.fullmatch(r"/Date\(\d+\)/", record["LastChangeDate"])
    texts = record["to_Description"]["results"]
    assert {"EN", "DE"} <= {text["Language"] for text in texts}
    assert all(len(text["ProductDescription"]) <= 40 for text in texts)
    (bare,) = erp.results(PRODUCTS, filter=f"Product eq '{facts.sku}'")
    link = bare["to_Description"]["__deferred"]["uri"]
    assert erp.get(link, timeout=5).json()["d"] == record["to_Description"]


def test_a_price_has_a_decimal_as_text_and_no_end(erp: Erp) -> None:
    found = erp.results(
        PRICES, filter="Material eq 'P-000001-01'", expand="to_SlsPrcgConditionRecord"
    )
    minor = {org: erp.world.price_minor(0, org) for org in ("1010", "1710")}
    for record in found:
        condition = record["to_SlsPrcgConditionRecord"]
        expected = minor[record["SalesOrganization"]] / 100
        assert condition["ConditionRateValue"] == f"{expected:.2f}"
        assert record["ConditionValidityEndDate"] == "/Date(253402214400000)/"
        assert record["ConditionType"] == "PPR0"
    assert [r["to_SlsPrcgConditionRecord"]["ConditionRateValueUnit"] for r in found] == [
        "EUR", "USD",
    ]  # fmt: skip
    again = erp.get(found[0]["__metadata"]["uri"], timeout=5).json()["d"]
    assert again["ConditionRecord"] == found[0]["ConditionRecord"]


def test_an_order_with_its_items_adds_up(erp: Erp) -> None:
    (order,) = erp.results(ORDERS, filter="SalesOrder eq '0000000007'", expand="to_Item")
    items = order["to_Item"]["results"]
    assert f"{sum(float(item['NetAmount']) for item in items):.2f}" == order["TotalNetAmount"]
    assert items[0]["SalesOrderItem"] == "000010"
    assert erp.world.customer_index(order["SoldToParty"]) is not None


def test_a_partner_has_a_day_and_a_time_of_day(erp: Erp) -> None:
    (partner,) = erp.results(PARTNERS, filter="BusinessPartner eq '10000001'")
    assert re.fullmatch(r"PT\d\dH\d\dM\d\dS", partner["LastChangeTime"])
    assert "LastChangeDateTime" not in partner


def test_stock_has_no_change_field(erp: Erp) -> None:
    found = erp.results(STOCK, filter="Material eq 'P-000001-01' and Plant eq '1710'")
    assert [r["MatlWrhsStkQtyInMatlBaseUnit"] for r in found] == [
        str(erp.world.sap_on_hand(0, "1710"))
    ]
    assert not any("Change" in name for name in found[0])


def touch(erp: Erp, count: int) -> None:
    body = {"system": "sap", "collection": "A_Product", "count": count}
    control = erp.root.replace("/sap/opu/odata/sap/", "/_control/touch")
    requests.post(control, json=body, timeout=5).raise_for_status()


@pytest.mark.parametrize("order", [{}, {"orderby": "LastChangeDateTime"}, {"orderby": "Product"}])
def test_changed_since_reads_exactly_what_changed(erp: Erp, order: dict[str, str]) -> None:
    since = "LastChangeDateTime ge datetimeoffset'2026-01-02T00:00:00Z'"
    assert erp.walk(PRODUCTS, filter=since, **order) == []
    touch(erp, 30)
    found = erp.walk(PRODUCTS, filter=since, **order)
    assert {r["Product"] for r in found} == {erp.world.sku(j) for j in range(30)}
    assert erp.read(f"{PRODUCTS}/$count", filter=since).text == "30"
    assert len(erp.walk(PRODUCTS)) == erp.world.variant_count()


def iso(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%dT%H:%M:%S}"


def test_a_window_of_time_has_two_ends(erp: Erp) -> None:
    everything = erp.walk(PRODUCTS)
    times = sorted({int(r["LastChangeDateTime"][6:19]) for r in everything})
    low, high = times[3], times[9]
    expected = [r["Product"] for r in everything
                if low < int(r["LastChangeDateTime"][6:19]) <= high]  # fmt: skip

    window = (
        f"LastChangeDateTime gt datetimeoffset'{iso(low)}Z'"
        f" and LastChangeDateTime le datetimeoffset'{iso(high)}Z'"
    )
    assert [r["Product"] for r in erp.walk(PRODUCTS, filter=window)] == expected


def test_a_day_that_is_excluded_is_excluded_whole(erp: Erp) -> None:
    days = sorted({int(r["LastChangeDate"][6:19]) for r in erp.walk(PARTNERS)})
    expected = [r for r in erp.walk(PARTNERS) if int(r["LastChangeDate"][6:19]) > days[1]]
    found = erp.walk(PARTNERS, filter=f"LastChangeDate gt datetime'{iso(days[1])}'")
    assert [r["BusinessPartner"] for r in found] == [r["BusinessPartner"] for r in expected]


def test_counts_are_text(erp: Erp) -> None:
    body = erp.read(PRODUCTS, top=1, inlinecount="allpages").json()["d"]
    assert body["__count"] == str(erp.world.variant_count())
    assert erp.read(f"{PRODUCTS}/$count").text == body["__count"]


def test_select_leaves_the_rest_out_and_orderby_can_descend(erp: Erp) -> None:
    found = erp.results(PRODUCTS, select="Product", orderby="Product desc", top=2)
    assert [set(r) for r in found] == [{"__metadata", "Product"}] * 2
    last = erp.world.variant_count() - 1
    assert [r["Product"] for r in found] == [erp.world.sku(last), erp.world.sku(last - 1)]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"filter": "Colour eq 'red'"}, "Colour"),
        ({"filter": "Product eq"}, "$filter"),
        ({"filter": "LastChangeDateTime ge datetimeoffset'soon'"}, "soon"),
        ({"orderby": "Colour"}, "Colour"),
        ({"select": "Product,Colour"}, "Colour"),
        ({"expand": "to_Colour"}, "to_Colour"),
        ({"top": "many"}, "$top"),
        ({"skip": "-1"}, "$skip"),
        ({"skiptoken": "x"}, "$skiptoken"),
    ],
)
def test_a_bad_option_is_named(erp: Erp, options: dict[str, str], named: str) -> None:
    refused = erp.read(PRODUCTS, **options)
    assert refused.status_code == 400
    assert named in refused.json()["error"]["message"]["value"]


@pytest.mark.parametrize(
    "path",
    ["API_PRODUCT_SRV/A_Nothing", "API_NOTHING_SRV/A_Product", "API_NOTHING_SRV/$metadata",
     f"{PRODUCTS}('P-999999-01')", f"{PRODUCTS}('P-000001-01')/to_Nothing", "somewhere"],
)  # fmt: skip
def test_what_is_not_there_is_404_in_sap_s_words(erp: Erp, path: str) -> None:
    answer = erp.read(path)
    assert answer.status_code == 404
    assert answer.json()["error"]["message"]["value"]


# --- writing --------------------------------------------------------------------------------------

PARTNER = f"{PARTNERS}('10000001')"


def test_a_write_needs_the_token_of_its_own_session(erp: Erp) -> None:
    refused = erp.change(PARTNER, {"FirstName": "X"}, If_Match="*")
    assert refused.status_code == 403
    assert refused.headers["x-csrf-token"] == "Required"
    token = erp.token()
    erp.cookies.clear()
    assert erp.change(PARTNER, {}, If_Match="*", X_CSRF_Token=token).status_code == 403


def test_a_write_needs_the_etag_that_is_in_force(erp: Erp) -> None:
    token = erp.token()
    etag = erp.read(PARTNER).headers["ETag"]
    assert erp.change(PARTNER, {"FirstName": "A"}, X_CSRF_Token=token).status_code == 428
    changed = erp.change(PARTNER, {"FirstName": "B"}, X_CSRF_Token=token, If_Match=etag)
    assert changed.status_code == 204
    assert erp.read(PARTNER).json()["d"]["FirstName"] == "B"
    late = erp.change(PARTNER, {"FirstName": "C"}, X_CSRF_Token=token, If_Match=etag)
    assert late.status_code == 412
    assert erp.read(PARTNER).json()["d"]["FirstName"] == "B"


def test_a_write_of_an_unknown_property_changes_nothing(erp: Erp) -> None:
    token = erp.token()
    refused = erp.change(PARTNER, {"Nickname": "B"}, X_CSRF_Token=token, If_Match="*")
    assert refused.status_code == 400
    assert "Nickname" in refused.text


@pytest.mark.parametrize("body", ["{", "[]", ""])
def test_a_write_that_is_no_object_is_refused(erp: Erp, body: str) -> None:
    headers = {"X-CSRF-Token": erp.token(), "If-Match": "*"}
    refused = erp.patch(erp.root + PARTNER, body, headers=headers, timeout=5)
    assert refused.status_code == 400
    assert refused.json()["error"]["message"]["value"]
