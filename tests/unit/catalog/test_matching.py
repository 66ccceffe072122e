"""Customers whom no key joins: found by what they say, merged, and taken apart without loss."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import transaction
from django.test import Client

from catalog.entities import Customer, Order
from catalog.history import Revision
from catalog.matching import find, merging
from catalog.matching.models import MatchCandidate, SameAs
from catalog.merge import Cause
from catalog.source import SourceRecord, source_id
from catalog.stage import Contribution, apply_contributions, payload_hash, withdraw
from hub.auth.keys import issue_key
from observability.errors import ConflictError
from tests import catalogue

# What changed is known by its transaction, so each sentence needs one of its own.
pytestmark = pytest.mark.django_db(transaction=True)

ADA = "10000001"
#: Who signed up in the CRM again, under an account that nobody gave a customer number.
AGAIN = "salesforce:001000000000009AAA"


def account(identifier: str = AGAIN, **other: Any) -> dict[str, Any]:
    """Like Ada's account, without a number."""
    number = {"Id": identifier.removeprefix("salesforce:"), "AccountNumber": None}
    return catalogue.ACCOUNT | number | other


def say(*accounts: dict[str, Any]) -> None:
    catalogue.say("salesforce", "accounts", accounts)


def values(key: str) -> dict[str, Any]:
    row = Customer.objects.get(key=key)
    told = {f.name: getattr(row, f.name) for f in Customer._meta.concrete_fields}
    return {name: told[name] for name in told if name not in ("changed_at", "provenance")}


def pairs(state: str = "open") -> list[tuple[str, str, float]]:
    rows = MatchCandidate.objects.filter(state=state)
    return [(row.first, row.second, row.score) for row in rows]


@pytest.fixture
def shop() -> None:
    catalogue.fill(1)
    find.look()
    assert pairs() == []


@pytest.mark.usefixtures("shop")
def test_an_account_without_a_number_is_proposed_with_what_agrees() -> None:
    say(account(Phone="+49 30 999999", Name="ADA  lovelace"))
    find.look()
    assert pairs() == [(ADA, AGAIN, 0.65)]
    assert MatchCandidate.objects.get().reasons == ["the same name", "the same address"]
    # Another country speaks against it: then it is too little to ask a person.
    later = {"SystemModstamp": "2026-03-01T00:00:00.000+0000"}
    say(account(Phone="+49 30 999999", BillingCountry="US", **later))
    find.look()
    assert (pairs(), pairs("withdrawn")) == ([], [(ADA, AGAIN, 0.65)])


@pytest.mark.usefixtures("shop")
def test_a_value_that_many_share_is_no_evidence() -> None:
    others = [f"salesforce:0010000000001{n:02}AAA" for n in range(find.MOST_SHARING)]
    say(*[account(key, Name=f"Guest {n}") for n, key in enumerate(others)])
    find.look()
    assert pairs() == []


@pytest.mark.usefixtures("shop")
def test_merged_and_taken_apart_nothing_is_lost() -> None:
    say(account(Name="Ada King", Phone="+49 30 7654321", BillingCity="Potsdam"))
    order = catalogue.ORDER | {"SalesOrder": "0000000002", "SoldToParty": AGAIN}
    catalogue.say("sap", "orders", [order])
    before = {key: values(key) for key in (ADA, AGAIN)}

    same = merging.merge("customer", AGAIN, ADA, by="steward", reason="she said so")
    assert Customer.objects.get(key=AGAIN).deleted_at is not None
    assert merging.stands_for("customer", AGAIN) == ADA
    assert Order.objects.get(key="0000000002").customer_id == ADA
    told = SourceRecord.objects.filter(entity_key=ADA, source__stream="accounts")
    assert {row.told_key for row in told if row.source.system == "salesforce"} == {None, AGAIN}

    # What is said about the merged one in the meantime is said about the other,
    later = {"SystemModstamp": "2026-03-01T00:00:00.000+0000"}
    say(account(Name="Ada King", Phone="+49 30 7654321", BillingCity="Berlin", **later))
    assert SourceRecord.objects.get(record_key="001000000000009AAA").entity_key == ADA
    catalogue.say("sap", "orders", [order | {"SalesOrder": "0000000003"}])
    assert Order.objects.get(key="0000000003").customer_id == ADA

    # and goes where it belongs when they are taken apart.
    merging.unmerge(same, by="steward", reason="her daughter")
    assert values(ADA) == before[ADA]
    assert values(AGAIN) == before[AGAIN] | {"city": "Berlin"}
    customers = Order.objects.order_by("key").values_list("customer_id", flat=True)
    assert list(customers) == [ADA, AGAIN, AGAIN]
    assert merging.stands_for("customer", AGAIN) is None
    kinds = Revision.objects.filter(entity="customer", key=AGAIN).order_by("id")
    assert [row.kind for row in kinds] == ["created", "deleted", "restored"]
    assert (pairs(), pairs("rejected")) == ([], [(ADA, AGAIN, 0)])


@pytest.mark.usefixtures("shop")
def test_a_chain_is_followed_and_any_link_of_it_can_be_opened() -> None:
    third = "salesforce:001000000000008AAA"
    say(account(), account(third, Name="A. Lovelace"))
    merging.merge("customer", third, AGAIN, by="x", reason="r")
    middle = merging.merge("customer", AGAIN, ADA, by="x", reason="r")
    assert merging.stands_for("customer", third) == ADA
    with pytest.raises(ConflictError, match=f"{third} is merged into {ADA} already"):
        merging.merge("customer", third, ADA, by="x", reason="r")
    with pytest.raises(ConflictError, match=f"{third} is merged into {ADA}: take that apart first"):
        merging.merge("customer", ADA, third, by="x", reason="r")
    merging.unmerge(middle, by="x", reason="r")
    assert merging.stands_for("customer", third) == AGAIN
    alive = Customer.objects.filter(deleted_at=None).values_list("key", flat=True)
    assert set(alive) == {ADA, AGAIN}
    with pytest.raises(ConflictError, match="taken apart already"):
        merging.unmerge(middle, by="x", reason="r")


@pytest.mark.usefixtures("shop")
def test_a_score_merges_unless_one_system_has_both_or_a_person_said_no() -> None:
    partner = {"BusinessPartner": "10000002", "BusinessPartnerFullName": "Grace Hopper"}
    catalogue.say("sap", "customers", [catalogue.PARTNER | partner])
    contact = {
        "Id": "003000000000001AAA", "FirstName": "Grace", "LastName": "Hopper",
        "Email": "grace@example.org", "Account": None, "IsDeleted": False,
        "SystemModstamp": "2026-02-01T00:00:00.000+0000",
    }  # fmt: skip
    twin = contact | {"Id": "003000000000002AAA", "Email": "GRACE@example.org"}
    catalogue.say("salesforce", "contacts", [contact, twin])
    assert find.look() == 0
    keys = ["salesforce:003000000000001AAA", "salesforce:003000000000002AAA"]
    assert pairs() == [(*keys, 0.9)]
    merging.reject(MatchCandidate.objects.get(), by="steward")
    find.look()
    assert (pairs(), pairs("rejected")) == ([], [(*keys, 0.9)])


@pytest.mark.usefixtures("shop")
def test_who_agrees_in_everything_is_merged_into_the_better_known() -> None:
    who = {"first_name": "Grace", "last_name": "Hopper", "email": "grace@example.org"}
    contributed("sap", "20000001", who | {"phone": "0049 30 7654321"})
    contributed("salesforce", "20000001", {})
    contributed("salesforce", "salesforce:003", who | {"phone": "(030) 7654321"})
    # One system has both, and may mean it.
    assert find.look() == 0
    assert pairs() == [("20000001", "salesforce:003", 1.25)]
    with transaction.atomic():
        withdraw(source("salesforce"), ["20000001"], Cause(), entity="customer")
    contributed("stripe", "20000001", {"payment_account": "cus_9"})
    assert find.look() == 1
    same = SameAs.objects.get()
    assert (same.alias, same.key, same.score) == ("salesforce:003", "20000001", 1.25)
    assert same.reason.startswith("the same e-mail address, the same telephone number")
    # Taken apart by a person they stay so.
    merging.unmerge(same, by="steward", reason="twins")
    assert find.look() == 0
    assert pairs("rejected") == [("20000001", "salesforce:003", 1.25)]


def source(system: str) -> int:
    return source_id(system, "people", "customer")


def contributed(system: str, key: str, fields: dict[str, Any]) -> None:
    said = Contribution(source(system), key, key, b"{}", payload_hash(key.encode()), fields, 1)
    with transaction.atomic():
        apply_contributions([said], Cause(), entities=["customer"])


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(
    ("alias", "key", "message"),
    [(ADA, ADA, "one record already"), ("nobody", ADA, "no customer nobody")],
)
def test_what_cannot_be_merged_is_refused(alias: str, key: str, message: str) -> None:
    with pytest.raises(ConflictError, match=message):
        merging.merge("customer", alias, key, by="x", reason="r")
    assert not SameAs.objects.exists()


@pytest.mark.usefixtures("shop")
def test_a_person_decides_in_the_admin_and_readers_are_led_on(
    client: Client, admin_user: User
) -> None:
    say(account(Name="Ada Lovelace"))
    find.look()
    pair = MatchCandidate.objects.get()
    client.force_login(admin_user)
    page = client.get(f"/admin/catalog/matchcandidate/{pair.pk}/change/").content.decode()
    assert "the same name, the same address" in page
    assert "salesforce, sap, stripe" in page
    client.post(
        "/admin/catalog/matchcandidate/",
        {"_selected_action": pair.pk, "action": "keep_first", "reason": "she called"},
    )
    same = SameAs.objects.get()
    assert (same.alias, same.root, same.merged_by) == (AGAIN, ADA, admin_user.username)
    key = issue_key("tests", ["read:*", "class:personal", "class:internal"])
    asked = client.get(f"/api/v1/customers/{AGAIN}", headers={"X-API-Key": key})
    assert (asked.status_code, asked.json()["merged_into"]) == (404, ADA)
    assert same.reason in client.get(f"/admin/catalog/sameas/{same.pk}/change/").content.decode()
    client.post("/admin/catalog/sameas/", {"_selected_action": same.pk, "action": "take_apart"})
    assert Customer.objects.get(key=AGAIN).deleted_at is None
    assert client.get(f"/api/v1/customers/{AGAIN}", headers={"X-API-Key": key}).status_code == 200


def test_who_may_only_look_decides_nothing(client: Client) -> None:
    looker = User.objects.create_user("support", password="x", is_staff=True)
    looker.user_permissions.add(Permission.objects.get(codename="view_matchcandidate"))
    pair = MatchCandidate.objects.create(entity="customer", first="a", second="b", score=1)
    client.force_login(looker)
    page = client.get(f"/admin/catalog/matchcandidate/{pair.pk}/change/")
    assert (page.status_code, b"Not the same" in page.content) == (200, False)
    client.post("/admin/catalog/matchcandidate/", {"_selected_action": pair.pk, "action": "reject"})
    assert pairs() == [("a", "b", 1)]
