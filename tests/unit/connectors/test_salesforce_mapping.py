"""What Salesforce's records come to, and which ones are refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from connectors.salesforce.streams import ACCOUNTS, CONTACTS, REVIEWS, long_id
from tests.vendors import said


def of(sobject: str, key: str) -> dict[str, Any]:
    url = f"/services/data/v60.0/sobjects/{sobject}/{key}"
    return {"attributes": {"type": sobject, "url": url}, "Id": key}


def account(**members: Any) -> bytes:
    record = {
        **of("Account", "001D000000IRFmaIAH"),
        "Name": "Bjørn & Söhne",
        "AccountNumber": "10000001",
        "Phone": None,
        "BillingStreet": "Lindenweg 12\nHinterhaus",
        "BillingCity": "Berlin",
        "BillingPostalCode": "04109",
        "BillingCountry": "DE",
        "SystemModstamp": "2026-02-01T07:00:00.000+0000",
        "IsDeleted": False,
        **members,
    }
    return json.dumps(record).encode()


def contact(**members: Any) -> bytes:
    record = {
        **of("Contact", "003D000000QOMqbIAH"),
        "FirstName": None,
        "LastName": "Söhne",
        "Email": "b@example.com",
        "Account": {"attributes": {"type": "Account"}, "AccountNumber": "10000001"},
        "SystemModstamp": "2026-02-01T07:00:00.000+0000",
        "IsDeleted": False,
        **members,
    }
    return json.dumps(record).encode()


def review(**members: Any) -> bytes:
    record = {
        **of("Review__c", "a00D0000008pQRSIA2"),
        "ProductCode__c": "P-000001",
        "Rating__c": 4.0,
        "Title__c": "Dry all night",
        "Body__c": None,
        "Author__c": "Ines D.",
        "CreatedDate": "2026-01-31T23:30:00.000+0000",
        "SystemModstamp": "2026-02-01T07:00:00.000+0000",
        "IsDeleted": False,
        **members,
    }
    return json.dumps(record).encode()


def test_an_account_is_a_customer_by_its_number() -> None:
    assert said(ACCOUNTS, account()) == (
        "10000001",
        {
            "name": "Bjørn & Söhne",
            "street": "Lindenweg 12\nHinterhaus",
            "city": "Berlin",
            "postcode": "04109",
            "country": "DE",
        },
    )


def test_a_contact_speaks_about_the_customer_of_its_account() -> None:
    key, fields = said(CONTACTS, contact())
    assert (key, fields) == ("10000001", {"last_name": "Söhne", "email": "b@example.com"})


@pytest.mark.parametrize(
    ("spec", "raw", "key"),
    [
        (ACCOUNTS, account(AccountNumber=None), "salesforce:001D000000IRFmaIAH"),
        (CONTACTS, contact(Account=None), "salesforce:003D000000QOMqbIAH"),
        (
            CONTACTS,
            contact(Account={"attributes": {}, "AccountNumber": None}),
            "salesforce:003D000000QOMqbIAH",
        ),
    ],
)
def test_whoever_has_no_customer_number_is_known_by_salesforce_s_id(
    spec: Any, raw: bytes, key: str
) -> None:
    assert said(spec, raw)[0] == key


def test_a_review_has_whole_stars_and_a_moment_without_colon_in_its_offset() -> None:
    assert said(REVIEWS, review()) == (
        "a00D0000008pQRSIA2",
        {
            "product": "P-000001",
            "rating": 4,
            "title": "Dry all night",
            "author": "Ines D.",
            "written_at": datetime(2026, 1, 31, 23, 30, tzinfo=UTC),
        },
    )


@pytest.mark.parametrize(
    ("short", "long"),
    [
        # from Salesforce's and simple-salesforce's documents
        ("001D000000IRFma", "001D000000IRFmaIAH"),
        ("003D000000QOMqb", "003D000000QOMqbIAH"),
        ("001D000000IRFmaIAH", "001D000000IRFmaIAH"),
    ],
)
def test_15_and_18_characters_name_the_same_record(short: str, long: str) -> None:
    assert long_id(short) == long


def test_ids_that_differ_in_case_alone_stay_different() -> None:
    # which is what the three characters are for: in systems that ignore case
    assert long_id("001D000000IRFma").lower() != long_id("001D000000irFma").lower()


def test_a_short_id_of_a_review_leads_to_the_same_entity() -> None:
    short = json.dumps({**json.loads(review()), "Id": "a00D0000008pQRS"}).encode()
    assert said(REVIEWS, short)[0] == said(REVIEWS, review())[0]


@pytest.mark.parametrize("spec", [ACCOUNTS, CONTACTS, REVIEWS])
def test_every_stream_tells_what_was_deleted(spec: Any) -> None:
    raw = {ACCOUNTS.slug: account, CONTACTS.slug: contact, REVIEWS.slug: review}[spec.slug]
    for deleted in (True, False):
        record = spec.contract.model_validate_json(raw(IsDeleted=deleted))
        assert spec.deleted(record) is deleted


@pytest.mark.parametrize(
    ("spec", "raw", "complaint"),
    [
        pytest.param(REVIEWS, review(Rating__c="4"), "Rating__c", id="number as text"),
        pytest.param(REVIEWS, review(Rating__c=4.5), "4.5 is no whole", id="half a star"),
        pytest.param(REVIEWS, review(Rating__c=None), "Rating__c", id="no rating"),
        pytest.param(REVIEWS, review(ProductCode__c=None), "ProductCode__c", id="no product"),
        pytest.param(ACCOUNTS, account(BillingPostalCode=4109), "BillingPostalCode", id="zip"),
        pytest.param(ACCOUNTS, account(SystemModstamp=None), "SystemModstamp", id="no stamp"),
        pytest.param(CONTACTS, contact(Account="001D"), "Account", id="relation as id"),
    ],
)
def test_broken_records_are_refused_with_the_place(spec: Any, raw: bytes, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        said(spec, raw)


def test_a_renamed_field_is_drift_and_not_silence() -> None:
    renamed = account().replace(b'"BillingCity"', b'"BillingTown"')
    with pytest.raises(ValueError, match="BillingCity"):
        said(ACCOUNTS, renamed)
