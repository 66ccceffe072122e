"""The SAP connector reads a server that nobody here wrote: SAP's own OData mock server.

It serves the real S/4HANA metadata with generated values. Unlike a real system it does not page by
itself, sends decimals and counts as numbers, and leaves the offset out of its dates.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from catalog.entities import Customer, Variant
from catalog.source import SourceRecord
from connectors.runtime.declare import Ask
from connectors.sap.streams import CUSTOMERS, PRODUCTS
from tests.pulls import pulled
from tests.vendors import everything, opened, said

SHARED = Path(
    os.environ.get("HEADWATER_SHARED") or Path(__file__).resolve().parents[2].parent / "shared"
)
UPS = SHARED / "upstreams" / "ups"
START_SECONDS = 240  # the first start installs it
RECORDS = 150  # of each set


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if not UPS.exists():
        pytest.skip(f"the third-party servers are not there ({UPS}); HEADWATER_SHARED names them")
    if not shutil.which("npm"):
        pytest.skip("sap-femock needs Node.js and npm")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # A home of our own: it holds the pid that `stop` ends.
    home = str(tmp_path_factory.mktemp("ups"))
    environment = {**os.environ, "PORT": str(port), "UPS_HOME": home}
    started = subprocess.run(
        [UPS, "sap-femock", "start"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )
    if started.returncode:
        pytest.skip(f"sap-femock does not start: {(started.stderr or started.stdout)[-300:]}")
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        subprocess.run([UPS, "sap-femock", "stop"], env=environment, timeout=30, check=False)


def test_products_are_read_and_mapped(url: str) -> None:
    sap = opened("sap", url)
    records = everything(sap, "products")
    assert len({json.loads(record)["Product"] for record in records}) == len(records) == RECORDS
    key, fields = next(found for r in records if (found := said(PRODUCTS, r))[0] == "Product15")
    assert fields == {
        "product": "CrossPlantConfigurableProduct_15",
        "gtin": "ProductStandar_15",
        "group": "Produ_15",
        "unit": "_15",
    }
    assert key == "Product15"


def test_products_have_a_version_in_utc(url: str) -> None:
    raw = opened("sap", url).record(PRODUCTS, "Product15")
    record: Any = PRODUCTS.contract.model_validate_json(raw or b"")
    assert record.LastChangeDateTime.tzinfo is not None
    # Values are generated: the date's milliseconds are the server's, the reading is ours.
    sent = json.loads(raw or b"")["LastChangeDateTime"]
    assert f"/Date({int(record.LastChangeDateTime.timestamp() * 1000)})/" == sent


def test_business_partners_are_read_and_mapped(url: str) -> None:
    partners = dict(
        said(CUSTOMERS, record) for record in everything(opened("sap", url), "customers")
    )
    assert len(partners) == RECORDS
    assert partners["BusinessP0"] == {
        "name": "BusinessPartnerFullName_0",
        "first_name": "FirstName_0",
        "last_name": "LastName_0",
    }


def test_partners_changed_since_a_day_are_a_part_of_all(url: str) -> None:
    sap = opened("sap", url)
    since = datetime(2010, 1, 1, tzinfo=UTC)
    assert CUSTOMERS.version is not None
    version = CUSTOMERS.version.reader()
    by_filter, by_hand = set(), set()
    for record in everything(sap, "customers", since=since):
        by_filter.add(said(CUSTOMERS, record)[0])
    for record in everything(sap, "customers"):
        partner = CUSTOMERS.contract.model_validate_json(record)
        if version(partner) >= since:
            by_hand.add(CUSTOMERS.entity_key(partner))
    assert by_filter == by_hand
    assert 0 < len(by_hand) < RECORDS


def test_the_filter_of_changed_products_is_understood(url: str) -> None:
    # Its answer is empty: the mock server compares these literals wrongly. It does parse them.
    page = opened("sap", url).page(PRODUCTS, Ask(since=datetime(1990, 1, 1, 1, 2, 3, 456789, UTC)))
    assert page.next is None


def test_small_pages_without_help_of_the_server_meet_every_product_once(url: str) -> None:
    sap = opened("sap", url)
    small = replace(PRODUCTS, page_size=40)
    cursor, found, pages = None, [], 0
    while True:
        page = sap.page(small, Ask(cursor=cursor))
        found += [json.loads(bytes(record))["Product"] for record in page.records]
        pages, cursor = pages + 1, page.next
        if cursor is None:
            break
    assert (pages, len(found), len(set(found))) == (4, RECORDS, RECORDS)


def test_a_product_that_is_not_there_is_none(url: str) -> None:
    assert opened("sap", url).record(PRODUCTS, "none") is None


@pytest.mark.django_db(transaction=True)
def test_its_products_reach_the_catalogue_with_where_they_came_from(url: str) -> None:
    run = pulled("sap", url, "products")
    assert (run.state, run.read, run.merged, run.quarantined) == ("done", RECORDS, RECORDS, 0)
    assert Variant.objects.count() == RECORDS
    variant = Variant.objects.get(pk="Product15")
    assert (variant.gtin, variant.group) == ("ProductStandar_15", "Produ_15")
    record = SourceRecord.objects.get(pk=variant.provenance["gtin"])
    assert (record.record_key, record.run_id) == ("Product15", run.pk)
    # Nothing changed there: nothing is written here.
    again = pulled("sap", url, "products")
    assert (again.state, again.unchanged, again.merged) == ("done", RECORDS, 0)


@pytest.mark.django_db(transaction=True)
def test_its_partners_reach_the_catalogue(url: str) -> None:
    run = pulled("sap", url, "customers")
    assert (run.state, run.merged, run.quarantined) == ("done", RECORDS, 0)
    customer = Customer.objects.get(pk="BusinessP0")
    assert customer.name == "BusinessPartnerFullName_0"
    assert SourceRecord.objects.get(pk=customer.provenance["name"]).record_key == "BusinessP0"
