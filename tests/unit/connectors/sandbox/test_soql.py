"""SOQL against a brute-force reading of the same records."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from connectors.sandbox import salesforce_records, soql
from connectors.sandbox.salesforce_query import Org
from connectors.sandbox.salesforce_schema import id_18
from connectors.sandbox.store import Store
from connectors.sandbox.world import World
from tests.sandboxes import running

Record = dict[str, Any]


@pytest.fixture
def org() -> Org:
    """600 reviews and 75 accounts, of which one was changed, one deleted, one added."""
    store, world = Store(), World(300)
    collections = salesforce_records.collections(world)
    for collection in collections:
        store.register(collection)
    org = Org(store, world, collections)
    key = collections[2].key
    store.put("salesforce", "Review__c", key(5), {**collections[2].build(5), "Rating__c": 1.0})
    store.delete("salesforce", "Review__c", key(400))
    added = {**collections[2].build(7), "Id": "a00zzzzzzzzzzzzAAA", "Title__c": None}
    store.put("salesforce", "Review__c", added["Id"], added)
    return org


def rows(org: Org, text: str, batch: int = 37, *, deleted_too: bool = False) -> list[Record]:
    """Every record, page by page; `totalSize` must be their number."""
    answer = org.start(soql.parse(text), "60.0", batch, deleted_too=deleted_too)
    total, found = answer["totalSize"], list(answer["records"])
    while not answer["done"]:
        answer = org.more(answer["nextRecordsUrl"].rpartition("/")[2], "60.0")
        found += answer["records"]
    assert total == len(found)
    return found


def living(org: Org) -> list[Record]:
    scanned = org.store.scan("salesforce", "Review__c", limit=10_000)
    return [row.doc for row in scanned]


FIELDS = "SELECT Id, SystemModstamp, Rating__c, Title__c FROM Review__c"
AT = "2025-09-10T00:00:00.000+0000"


@pytest.mark.parametrize(
    ("where", "test"),
    [
        ("", lambda _: True),
        (f"WHERE SystemModstamp > {AT}", lambda r: r["SystemModstamp"] > AT),
        (f"WHERE SystemModstamp >= {AT}", lambda r: r["SystemModstamp"] >= AT),
        (f"WHERE SystemModstamp < {AT}", lambda r: r["SystemModstamp"] < AT),
        (
            f"WHERE SystemModstamp >= {AT} AND SystemModstamp <= 2025-10-01T00:00:00Z",
            lambda r: AT <= r["SystemModstamp"] <= "2025-10-01T00:00:00.000+0000",
        ),
        (
            f"WHERE SystemModstamp > {AT} AND IsDeleted = false",
            lambda r: r["SystemModstamp"] > AT,
        ),
        ("WHERE Rating__c >= 4", lambda r: r["Rating__c"] >= 4),
        ("WHERE Rating__c IN (1, 5)", lambda r: r["Rating__c"] in {1, 5}),
        ("WHERE Rating__c NOT IN (1, 5)", lambda r: r["Rating__c"] not in {1, 5}),
        ("WHERE Title__c = null", lambda r: r["Title__c"] is None),
        ("WHERE NOT (Rating__c = 5 OR Rating__c = 4)", lambda r: r["Rating__c"] < 4),
        (
            f"WHERE Rating__c = 5 AND SystemModstamp > {AT}",
            lambda r: r["Rating__c"] == 5 and r["SystemModstamp"] > AT,
        ),
        ("WHERE ProductCode__c LIKE 'p-00001%'", lambda r: r["ProductCode__c"] < "P-000020"
            and r["ProductCode__c"] >= "P-000010"),
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "order", ["", "ORDER BY SystemModstamp, Id", "ORDER BY Id", "ORDER BY Id DESC"]
)
def test_a_query_finds_what_reading_everything_finds(
    org: Org, where: str, test: Callable[[Record], bool], order: str
) -> None:
    found = [record["Id"] for record in rows(org, f"{FIELDS} {where} {order}")]
    expected = [record for record in living(org) if test(record)]
    if "SystemModstamp" in order:
        expected.sort(key=lambda record: (record["SystemModstamp"], record["Id"]))
    elif order:
        expected.sort(key=lambda record: record["Id"], reverse="DESC" in order)
    if order:
        assert found == [record["Id"] for record in expected]
    else:
        assert sorted(found) == sorted(record["Id"] for record in expected)


def test_the_connector_s_own_paging_by_time_and_id_meets_every_record_once(org: Org) -> None:
    met: list[str] = []
    where = ""
    while page := rows(org, f"{FIELDS} {where} ORDER BY SystemModstamp, Id LIMIT 50"):
        met += [record["Id"] for record in page]
        at, key = page[-1]["SystemModstamp"], page[-1]["Id"]
        where = f"WHERE SystemModstamp > {at} OR (SystemModstamp = {at} AND Id > '{key}')"
    assert met == [record["Id"] for record in living(org)]


def test_paging_by_id_alone(org: Org) -> None:
    met: list[str] = []
    where = ""
    while page := rows(org, f"{FIELDS} {where} ORDER BY Id LIMIT 64"):
        met += [record["Id"] for record in page]
        where = f"WHERE Id > '{met[-1]}'"
    assert met == sorted(record["Id"] for record in living(org))


def test_query_all_shows_the_deleted(org: Org) -> None:
    every = rows(
        org, "SELECT Id, IsDeleted FROM Review__c ORDER BY SystemModstamp", deleted_too=True
    )
    assert [record["IsDeleted"] for record in every].count(True) == 1
    assert len(every) == len(living(org)) + 1
    only = rows(org, "SELECT Id FROM Review__c WHERE IsDeleted = true", deleted_too=True)
    assert len(only) == 1


def test_count_limit_and_offset(org: Org) -> None:
    whole = rows(org, "SELECT Id FROM Review__c ORDER BY Id")
    part = rows(org, "SELECT Id FROM Review__c ORDER BY Id LIMIT 40 OFFSET 100")
    assert part == whole[100:140]
    count = org.start(soql.parse("SELECT COUNT() FROM Review__c"), "60.0", 10, deleted_too=False)
    assert (count["totalSize"], count["records"]) == (len(whole), [])


def test_nulls_sort_first_unless_told_otherwise(org: Org) -> None:
    first = rows(org, "SELECT Title__c FROM Review__c ORDER BY Title__c LIMIT 1")
    last = rows(org, "SELECT Title__c FROM Review__c ORDER BY Title__c NULLS LAST")[-1:]
    assert first[0]["Title__c"] is last[0]["Title__c"] is None


def test_parents_are_read_along_and_filtered_by(org: Org) -> None:
    soql_text = "SELECT Id, Account.Name FROM Contact c WHERE Account.AccountNumber = '10000007'"
    (contact,) = rows(org, soql_text)
    account = org.collections["Account"].build(6)
    assert contact["Account"]["Name"] == account["Name"]


def test_a_page_asked_for_twice_is_the_same_page(org: Org) -> None:
    answer = org.start(soql.parse(f"{FIELDS} ORDER BY Id"), "60.0", 200, deleted_too=False)
    locator = answer["nextRecordsUrl"].rpartition("/")[2]
    assert org.more(locator, "60.0") == org.more(locator, "60.0")


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("SELECT", "MALFORMED_QUERY", "unexpected token: '<EOF>'"),
        ("SELECT Id FROM Account WHERE", "MALFORMED_QUERY", "unexpected token"),
        ("SELECT Id FROM Account WHERE Name = 'x", "MALFORMED_QUERY", "character"),
        ("SELECT Id FROM Account LIMIT ten", "MALFORMED_QUERY", "unexpected token: 'ten'"),
        ("SELECT Id FROM Account GROUP BY Name", "MALFORMED_QUERY", "unexpected token: 'GROUP'"),
        ("SELECT Id FROM Accounts", "INVALID_TYPE", "sObject type 'Accounts' is not supported"),
        ("SELECT Id, Foo FROM Account", "INVALID_FIELD", "No such column 'Foo' on entity"),
        ("SELECT Owner.Name FROM Account", "INVALID_FIELD", "Didn't understand relationship"),
        ("SELECT Id FROM Account WHERE Name = 5", "INVALID_FIELD", "should be enclosed in quotes"),
        (
            "SELECT Id FROM Account WHERE SystemModstamp > '2026-01-01T00:00:00Z'",
            "INVALID_FIELD",
            "should not be enclosed in quotes",
        ),
        (
            "SELECT Id FROM Account LIMIT 1 OFFSET 2001",
            "NUMBER_OUTSIDE_VALID_RANGE",
            "Maximum SOQL offset",
        ),
    ],
)
def test_a_wrong_query_is_refused_in_salesforce_s_words(text: str, code: str, message: str) -> None:
    with pytest.raises(soql.SoqlError, match=message) as refused:
        soql.parse(text)
    assert refused.value.code == code


def test_quotes_in_a_literal() -> None:
    query = soql.parse(r"SELECT Id FROM Account WHERE Name = 'Kestrel \'n\' \\ Sons'")
    assert isinstance(query.where, soql.Compare)
    assert query.where.value == r"Kestrel 'n' \ Sons"


def test_the_long_form_of_an_id() -> None:
    """The example of Salesforce's own documentation."""
    assert id_18("001D000000IqhSL") == "001D000000IqhSLIAZ"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running(60) as server:
        yield server.url


def test_errors_are_arrays_over_http(url: str) -> None:
    answer = requests.get(f"{url}/services/data/v60.0/query", params={"q": "x"}, timeout=5)
    assert answer.status_code == 401
    assert answer.json() == [
        {"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}
    ]
    assert [v["version"] for v in requests.get(f"{url}/services/data", timeout=5).json()][
        -1
    ] == "60.0"
