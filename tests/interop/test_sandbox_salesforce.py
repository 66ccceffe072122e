"""simple-salesforce works against the sandbox unchanged.

The library speaks https to salesforce.com and nothing else, so its session gets a transport that
takes those requests to the sandbox's port; what is said over it is the library's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from requests.adapters import HTTPAdapter
from simple_salesforce import exceptions
from simple_salesforce.api import Salesforce

from tests.sandboxes import running, set_fault

PRODUCTS = 1200  # 2,400 reviews: two pages


class ToSandbox(HTTPAdapter):
    def __init__(self, url: str) -> None:
        super().__init__()
        self.target = url

    def send(
        self, request: requests.PreparedRequest, *args: Any, **kwargs: Any
    ) -> requests.Response:
        parts = urlsplit(str(request.url))
        request.url = f"{self.target}{parts.path}" + (f"?{parts.query}" if parts.query else "")
        return super().send(request, *args, **kwargs)


def log_in(url: str, credentials: dict[str, Any]) -> Any:
    session = requests.Session()
    session.mount("https://", ToSandbox(url))
    return Salesforce(session=session, version="60.0", **credentials)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running(PRODUCTS) as server:
        yield server.url


@pytest.fixture
def org(url: str) -> Any:
    app = {"consumer_key": "headwater", "consumer_secret": "sandbox-salesforce"}
    return log_in(url, {**app, "domain": "headwater.my"})


USER = {"username": "headwater@example.com", "password": "sandbox-salesforce"}
APP = {"consumer_key": "headwater", "consumer_secret": "sandbox-salesforce"}


@pytest.mark.parametrize(
    "credentials",
    [
        pytest.param({**APP, "domain": "headwater.my"}, id="client credentials"),
        pytest.param({**USER, **APP}, id="OAuth password"),
        pytest.param({**USER, "security_token": ""}, id="SOAP"),
    ],
)
def test_every_way_to_log_in(url: str, credentials: dict[str, str]) -> None:
    assert log_in(url, credentials).query("SELECT COUNT() FROM Account")["totalSize"] == 300


def test_a_session_from_the_token_endpoint(url: str) -> None:
    form = {"grant_type": "client_credentials", "client_id": "headwater"}
    form["client_secret"] = "sandbox-salesforce"
    granted = requests.post(f"{url}/services/oauth2/token", data=form, timeout=5).json()
    known = {"session_id": granted["access_token"], "instance_url": granted["instance_url"]}
    assert log_in(url, known).query("SELECT Id FROM Account LIMIT 1")["totalSize"] == 1


@pytest.mark.parametrize(
    "credentials",
    [
        {**APP, "domain": "headwater.my", "consumer_secret": "wrong"},
        {**USER, "security_token": "", "password": "wrong"},
    ],
)
def test_wrong_credentials_are_refused(url: str, credentials: dict[str, str]) -> None:
    with pytest.raises(exceptions.SalesforceAuthenticationFailed):
        log_in(url, credentials)


def test_query_all_follows_every_page(org: Any) -> None:
    found = org.query_all("SELECT Id, Rating__c FROM Review__c ORDER BY SystemModstamp, Id")
    ids = [record["Id"] for record in found["records"]]
    assert len(set(ids)) == len(ids) == PRODUCTS * 2
    assert org.query("SELECT Id FROM Review__c")["done"] is False
    assert org.api_usage["api-usage"].total > org.api_usage["api-usage"].used > 0


def test_a_contact_brings_its_account_s_number(org: Any) -> None:
    soql = "SELECT FirstName, Account.AccountNumber FROM Contact ORDER BY Id LIMIT 1"
    record = org.query(soql)["records"][0]
    assert record["Account"]["AccountNumber"] == "10000001"


def test_describe_names_fields_and_types(org: Any) -> None:
    names = [sobject["name"] for sobject in org.describe()["sobjects"]]
    assert names == ["Account", "Contact", "Order", "Review__c", "Auction_Lot__c"]
    fields = {field["name"]: field for field in org.Contact.describe()["fields"]}
    assert fields["AccountId"]["referenceTo"] == ["Account"]
    assert fields["SystemModstamp"]["type"] == "datetime"
    assert fields["LastName"]["nillable"] is False


def test_create_update_delete(org: Any) -> None:
    key = org.Account.create({"Name": "Neue Höhe GmbH", "AccountNumber": "20000001"})["id"]
    before = org.Account.get(key)
    assert org.Account.update(key, {"Phone": "+49 89 5550000"}) == 204
    after = org.Account.get(key)
    assert after["Phone"] == "+49 89 5550000"
    assert after["SystemModstamp"] > before["SystemModstamp"]
    assert org.Account.get(key[:15])["Id"] == key
    by_number = "SELECT Id FROM Account WHERE AccountNumber = '20000001'"
    assert org.query(by_number)["records"][0]["Id"] == key
    org.Account.delete(key)
    assert org.query(by_number)["totalSize"] == 0
    soql = "SELECT Id FROM Account WHERE IsDeleted = true"
    gone = org.query_all(soql, include_deleted=True)["records"]
    assert [record["Id"] for record in gone] == [key]
    with pytest.raises(exceptions.SalesforceResourceNotFound, match="entity is deleted"):
        org.Account.update(key, {"Phone": "1"})


def test_a_changed_record_comes_last_in_the_order_of_change(org: Any) -> None:
    first = org.query("SELECT Id FROM Review__c ORDER BY SystemModstamp, Id LIMIT 1")
    key = first["records"][0]["Id"]
    stamp = "SELECT SystemModstamp FROM Review__c ORDER BY SystemModstamp DESC LIMIT 1"
    newest = org.query(stamp)["records"][0]["SystemModstamp"].replace("+0000", "Z")
    org.Review__c.update(key, {"Rating__c": 1})
    since = "SELECT Id FROM Review__c WHERE SystemModstamp > {} ORDER BY SystemModstamp, Id"
    assert [record["Id"] for record in org.query(since.format(newest))["records"]] == [key]


@pytest.mark.parametrize(
    ("call", "error", "code"),
    [
        (
            lambda org: org.query("SELECT Nope FROM Account"),
            exceptions.SalesforceMalformedRequest,
            "INVALID_FIELD",
        ),
        (
            lambda org: org.query("SELECT Id FROM Nope"),
            exceptions.SalesforceMalformedRequest,
            "INVALID_TYPE",
        ),
        (
            lambda org: org.query("SELECT Id FRM Account"),
            exceptions.SalesforceMalformedRequest,
            "MALFORMED_QUERY",
        ),
        (
            lambda org: org.query_more("01g000000000000AAA-2000"),
            exceptions.SalesforceMalformedRequest,
            "INVALID_QUERY_LOCATOR",
        ),
        (
            lambda org: org.Account.get("001000000000000AAA"),
            exceptions.SalesforceResourceNotFound,
            "NOT_FOUND",
        ),
        (
            lambda org: org.Contact.create({"FirstName": "Ada"}),
            exceptions.SalesforceMalformedRequest,
            "REQUIRED_FIELD_MISSING",
        ),
        (
            lambda org: org.Account.create({"Name": "x", "CreatedDate": "2026-01-01"}),
            exceptions.SalesforceMalformedRequest,
            "INVALID_FIELD_FOR_INSERT_UPDATE",
        ),
    ],
)
def test_errors(org: Any, call: Any, error: type[Exception], code: str) -> None:
    with pytest.raises(error, match=code):
        call(org)


def test_a_session_that_ends_in_mid_run_is_renewed(org: Any, url: str) -> None:
    old = org.session_id
    set_fault(url, "salesforce", kind="unauthorized", count=1)
    assert org.query("SELECT COUNT() FROM Contact")["totalSize"] == 300
    assert org.session_id != old


def test_an_order_is_upserted_by_its_external_id(url: str, org: Any) -> None:
    account = org.query("SELECT Id FROM Account WHERE AccountNumber = '10000001'")["records"][0]
    order = {
        "AccountId": account["Id"],
        "EffectiveDate": "2026-11-21",
        "Status": "Draft",
        "CurrencyIsoCode": "EUR",
        "Total__c": 12.34,
    }
    answers = [
        org.Order.upsert("ErpNumber__c/0000000777", order | {"Total__c": total}, raw_response=True)
        for total in (12.34, 20.0)
    ]
    assert [answer.status_code for answer in answers] == [201, 200]
    copy = org.Order.get_by_custom_id("ErpNumber__c", "0000000777")
    assert copy["Total__c"] == 20.0
    assert {answer.json()["id"] for answer in answers} == {copy["Id"]}
    asked = "SELECT Id, Account.AccountNumber FROM Order WHERE ErpNumber__c = '0000000777'"
    assert org.query(asked)["records"][0]["Account"]["AccountNumber"] == "10000001"
    told = requests.get(f"{url}/_control/references/salesforce", timeout=5).json()
    assert told == {"references": {"Order": {"0000000777": 1}}}


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("Colour__c/1", {}, "NOT_FOUND"),
        ("ErpNumber__c/1", {"ErpNumber__c": "1"}, "INVALID_FIELD"),
        ("ErpNumber__c/1", {"Status": "Draft"}, "REQUIRED_FIELD_MISSING"),
        ("ErpNumber__c/1", {"Status": "Lost"}, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"),
        ("ErpNumber__c/1", {"EffectiveDate": "today"}, "INVALID_TYPE_ON_FIELD_IN_RECORD"),
    ],
)
def test_an_upsert_that_makes_no_sense_is_refused(
    org: Any, path: str, body: dict[str, Any], code: str
) -> None:
    with pytest.raises(exceptions.SalesforceError) as refused:
        org.Order.upsert(path, body)
    assert code in str(refused.value)


def test_several_records_change_together_or_not_at_all(org: Any) -> None:
    def ask(name: str) -> dict[str, Any]:
        where = "AccountNumber" if name == "Account" else "Account.AccountNumber"
        asked = f"SELECT Id, Phone FROM {name} WHERE {where} = '10000002'"  # noqa: S608 (SOQL)
        found: list[dict[str, Any]] = org.query(asked)["records"]
        return found[0]

    def change(account: Any, contact: Any) -> list[dict[str, Any]]:
        records = [
            {"attributes": {"type": "Account"}, "id": ask("Account")["Id"], "Phone": account},
            {"attributes": {"type": "Contact"}, "id": ask("Contact")["Id"], "Email": contact},
        ]
        answer: list[dict[str, Any]] = org.restful(
            "composite/sobjects", method="PATCH", json={"allOrNone": True, "records": records}
        )
        return answer

    before = ask("Account")["Phone"]
    refused = change("1", "no address")
    assert [one["success"] for one in refused] == [False, False]
    assert [one["errors"][0]["statusCode"] for one in refused] == [
        "ALL_OR_NONE_OPERATION_ROLLED_BACK",
        "INVALID_EMAIL_ADDRESS",
    ]
    assert ask("Account")["Phone"] == before
    assert all(one["success"] for one in change("1", "a@example.com"))
    assert ask("Account")["Phone"] == "1"


def test_a_record_that_changed_since_is_left_alone(org: Any) -> None:
    account = org.query("SELECT Id FROM Account WHERE AccountNumber = '10000003'")["records"][0]

    def rename(name: str, since: str) -> int:
        headers = {"If-Unmodified-Since": since}
        try:
            return int(org.Account.update(account["Id"], {"Name": name}, headers=headers))
        except exceptions.SalesforceError as refused:
            return int(refused.status)

    assert rename("One", "Thu, 01 Jan 2026 00:00:00 GMT") == 204
    assert rename("Two", "Thu, 01 Jan 2026 00:00:00 GMT") == 412
    assert rename("Two", "no date") == 204


def test_the_describe_says_what_an_order_can_be_found_by(org: Any) -> None:
    fields = {field["name"]: field for field in org.Order.describe()["fields"]}
    assert [n for n, field in fields.items() if field["externalId"]] == ["ErpNumber__c"]
    assert fields["ErpNumber__c"]["unique"]
    assert [v["value"] for v in fields["Status"]["picklistValues"]] == ["Draft", "Activated"]
