"""Overrides: what a person decides stands above every rule, as one more thing that a source says."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from catalog.conflicts import Conflict
from catalog.entities import Price, Product, Variant
from catalog.explain import explain, provenance_of
from catalog.history import Revision, timeline
from catalog.merge import Cause
from catalog.notices import ChangeNotice
from catalog.overrides import (
    Decision,
    Override,
    expire_due,
    override,
    withdraw_overrides,
)
from catalog.ownership import OwnershipRule
from catalog.source import SourceRecord, source_id
from catalog.stage import Contribution, apply_contributions, payload_hash, withdraw
from observability.clock import database_now
from observability.freshness import StreamFreshness

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def shop() -> None:
    OwnershipRule.objects.create(entity="variant", owner="sap", fallbacks=["pim"])
    say("sap", gtin="111", colour="grey")
    say("pim", gtin="222", colour="grey")


def say(
    system: str, key: str = "V-1", version: int = 1, entity: str = "variant",
    *, restated: bool = False, **fields: Any,
) -> None:  # fmt: skip
    payload = json.dumps({"key": key, **fields}).encode()
    said = Contribution(
        source_id(system, f"{entity}s", entity), key, key, payload, payload_hash(payload), fields,
        version,
    )  # fmt: skip
    with transaction.atomic():
        apply_contributions([said], Cause(), entities=[entity], restated=restated)


def gone(*systems: str) -> None:
    for system in systems:
        with transaction.atomic():
            source = source_id(system, "variants", "variant")
            withdraw(source, ["V-1"], Cause(), entity="variant")


def decide(value: Any, field: str = "gtin", **options: Any) -> Override:
    said = {"by": "ola", "reason": "read off the box", **options}
    return override([Decision("variant", "V-1", field, value)], **said)[0]


def row() -> Variant:
    return Variant.objects.get(pk="V-1")


def live() -> set[tuple[str, Any, Any, str]]:
    rows = Conflict.objects.filter(closed_at=None).select_related("source")
    return {(row.source.system, row.value, row.surviving, row.state) for row in rows}


def test_it_outranks_the_rules_whatever_comes_later_until_it_is_withdrawn() -> None:
    made = decide("222")
    assert row().gtin == "222"
    say("sap", version=2, gtin="112", colour="grey")
    assert (row().gtin, row().colour) == ("222", "grey")
    assert live() == {("sap", "112", "222", "by_hand")}
    assert withdraw_overrides([made], by="per") == 1
    assert row().gtin == "112"
    assert live() == {("pim", "222", "112", "by_rule")}
    made.refresh_from_db()
    assert (made.ended_by, made.ended_because) == ("per", "withdrawn")


def test_a_field_without_a_rule_is_decided_too() -> None:
    OwnershipRule.objects.all().delete()
    decide("999")
    assert row().gtin == "999"
    assert {state for *_, state in live()} == {"by_hand"}


def test_provenance_history_and_notices_say_who_and_why() -> None:
    ChangeNotice.objects.all().delete()
    decide("999")
    proof = {p.field: p for p in provenance_of(list(row().provenance.items()))}["gtin"]
    assert (proof.system, proof.stale, proof.reason) == ("steward", False, None)
    said = json.loads(SourceRecord.objects.get(pk=proof.source_record_id).payload)["overrides"]
    assert (said["gtin"]["by"], said["gtin"]["reason"]) == ("ola", "read off the box")
    newest = timeline(row())[0]
    assert newest.changes == {"gtin": ["111", "999"]}
    assert newest.source_record_id == proof.source_record_id
    assert list(ChangeNotice.objects.get().changes()) == [("V-1", "changed")]
    told = explain(row(), "gtin")
    assert told.winner is not None
    assert (told.winner.system, told.winner.allowed) == ("steward", True)
    assert told.override is not None
    assert told.override.reason == "read off the box"
    assert [c.conflict.state for c in told.candidates[1:] if c.conflict] == ["by_hand", "by_hand"]


def test_several_fields_of_a_record_are_decided_and_withdrawn_one_by_one() -> None:
    number, colour = decide("999"), decide("green", "colour")
    assert (row().gtin, row().colour) == ("999", "green")
    withdraw_overrides([number], by="ola")
    assert (row().gtin, row().colour) == ("111", "green")
    withdraw_overrides([colour], by="ola")
    assert (row().gtin, row().colour) == ("111", "grey")
    assert SourceRecord.objects.get(source__system="steward").deleted_at is not None
    decide("888")
    assert row().gtin == "888"


def test_a_later_one_for_the_same_field_takes_the_place_of_the_former() -> None:
    first, second = decide("888"), decide("999", by="per")
    first.refresh_from_db()
    assert (first.ended_by, first.ended_because) == ("per", "replaced by another")
    assert (row().gtin, second.ended_at) == ("999", None)


def test_it_ends_by_itself_when_its_time_is_up() -> None:
    made = decide("999", until=database_now() + timedelta(hours=1))
    kept = decide("green", "colour")
    assert expire_due() == 0
    Override.objects.filter(pk=made.pk).update(until=Now() - timedelta(seconds=1))
    assert expire_due() == 1
    assert (row().gtin, row().colour) == ("111", "green")
    made.refresh_from_db()
    kept.refresh_from_db()
    assert (made.ended_because, kept.ended_at) == ("its time was up", None)
    assert Revision.objects.latest("id").changes == {"gtin": ["999", "111"]}


def test_a_remap_of_the_systems_records_keeps_it() -> None:
    decide("999")
    say("sap", gtin="111", colour="black", restated=True)
    assert (row().gtin, row().colour) == ("999", "black")
    assert ("sap", "111", "999", "by_hand") in live()


def test_it_keeps_no_record_alive_that_every_system_has_withdrawn_and_waits_for_its_return() -> (
    None
):
    decide("999")
    gone("sap", "pim")
    assert row().deleted_at is not None
    assert live() == set()
    with pytest.raises(ValidationError, match="no live variant V-1"):
        decide("888")
    say("sap", version=2, gtin="111")
    assert (row().gtin, row().deleted_at) == ("999", None)


def test_what_the_sweep_has_looked_at_is_fresh_and_what_it_has_not_grows_old() -> None:
    decide("999")
    SourceRecord.objects.filter(source__system="steward").update(
        observed_at=F("observed_at") - timedelta(days=3)
    )
    StreamFreshness.objects.update(watermark=F("watermark") - timedelta(days=3))
    pairs = [("gtin", row().provenance["gtin"])]
    assert provenance_of(pairs)[0].stale
    expire_due()
    assert not provenance_of(pairs)[0].stale


@pytest.mark.parametrize(
    ("entity", "field", "value", "parameter", "said"),
    [
        ("variant", "price", "1", "field", "variant has no field 'price'"),
        ("variant", "gtin", "", "value", "cannot say nothing"),
        ("variant", "product", "P-404", "value", "no live product 'P-404'"),
        ("variant", "name", "Tent", "value", "a text for each locale"),
        ("variant", "name", {"english": "Tent"}, "value", "a text for each locale"),
        ("variant", "name", {"en_US": " "}, "value", "in one locale at least"),
        ("price", "amount", "a lot", "value", "must be a decimal number"),
        ("price", "amount", "1.23456", "value", "no more than 4 decimal places"),
        ("price", "valid_from", "2026-02-30", "value", "invalid date"),
        ("stock", "available", "NaN", "value", "decimal number"),
    ],
)
def test_a_value_that_the_field_cannot_have_is_refused_and_says_why(
    entity: str, field: str, value: Any, parameter: str, said: str
) -> None:
    say("sap", "P", entity="price", amount="1")
    say("wms", "S", entity="stock", available="1")
    key = {"variant": "V-1", "price": "P", "stock": "S"}[entity]
    with pytest.raises(ValidationError) as refused:
        override([Decision(entity, key, field, value)], by="ola", reason="because")
    assert said in " ".join(refused.value.message_dict[parameter])
    assert not Override.objects.exists()


def test_it_needs_a_reason_an_expiry_ahead_and_a_record_that_is_there() -> None:
    with pytest.raises(ValidationError) as refused:
        decide("999", reason=" ", until=database_now() - timedelta(minutes=1))
    assert set(refused.value.message_dict) == {"reason", "until"}
    with pytest.raises(ValidationError, match="no live variant V-404"):
        override([Decision("variant", "V-404", "gtin", "1")], by="ola", reason="because")


def test_values_are_kept_as_systems_spell_them() -> None:
    say("sap", "P", entity="price", amount="25.9", valid_from="2026-01-01")
    say("pim", "P-1", entity="product", brand="Alpina")
    override(
        [
            Decision("price", "P", "amount", "19.9000"),
            Decision("price", "P", "valid_from", "2026-02-01"),
            Decision("variant", "V-1", "product", "P-1"),
            Decision("product", "P-1", "name", {"en_US": "Tent", "de_DE": ""}),
        ],
        by="ola",
        reason="agreed",
    )
    price = Price.objects.get(pk="P")
    assert (f"{price.amount:.2f}", str(price.valid_from)) == ("19.90", "2026-02-01")
    assert row().product_id == "P-1"
    assert Product.objects.get(pk="P-1").name == {"en_US": "Tent"}
    assert Override.objects.get(field="amount").value == "19.90"
