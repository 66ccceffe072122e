"""Conflicts: what loses is kept with who said it, since when and why, whatever came first."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import transaction
from django.db.models.functions import Now

from catalog.conflicts import Conflict
from catalog.entities import Variant
from catalog.explain import explain_all
from catalog.merge import Cause
from catalog.ownership import OwnershipRule
from catalog.source import source_id
from catalog.stage import Contribution, apply_contributions, payload_hash, withdraw

pytestmark = pytest.mark.django_db

MARCH = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def rules() -> None:
    OwnershipRule.objects.create(entity="variant", field="gtin", owner="sap", fallbacks=["pim"])
    OwnershipRule.objects.create(entity="variant", field="group", owner="sap")
    OwnershipRule.objects.create(entity="price", owner="sap", fallbacks=["shop"])


def say(
    system: str, key: str = "V-1", version: int = 1, entity: str = "variant", **fields: Any
) -> None:
    payload = json.dumps({"key": key, **fields}).encode()
    said = Contribution(
        source_id(system, f"{entity}s", entity), key, key, payload, payload_hash(payload), fields,
        version,
    )  # fmt: skip
    with transaction.atomic():
        apply_contributions([said], Cause(), entities=[entity])


def gone(system: str, key: str = "V-1") -> None:
    with transaction.atomic():
        source = source_id(system, "variants", "variant")
        withdraw(source, [key], Cause(), entity="variant")


def live(key: str = "V-1") -> list[tuple[str, str, Any, Any, str, str]]:
    """(field, who loses, what it says, what survived, the rule, the state)."""
    rows = Conflict.objects.filter(key=key, closed_at=None).select_related("source")
    return sorted(
        (row.field, row.source.system, row.value, row.surviving, row.rule, row.state)
        for row in rows
    )


def test_a_losing_value_is_kept_with_both_records_and_the_rule_that_decided() -> None:
    say("sap", gtin="111", colour="grey")
    assert live() == []
    say("pim", gtin="222", colour="blue", group="G")
    no_rule = "no rule: the first connected system that has a value"
    assert live() == [
        ("colour", "pim", "blue", "grey", no_rule, "open"),
        ("group", "pim", "G", None, "sap owns variant.group", "by_rule"),
        ("gtin", "pim", "222", "111", "sap owns variant.gtin", "by_rule"),
    ]
    row = Conflict.objects.get(field="gtin")
    assert row.survivor is not None
    assert (json.loads(row.record.payload)["gtin"], json.loads(row.survivor.payload)["gtin"]) == (
        "222", "111",
    )  # fmt: skip


def test_any_order_of_arrival_ends_in_the_same_conflicts() -> None:
    said: list[dict[str, Any]] = [
        {"system": "sap", "version": 1, "gtin": "111", "group": "G"},
        {"system": "sap", "version": 2, "gtin": "112", "group": "G"},
        {"system": "pim", "version": 1, "gtin": "112", "group": "H"},
        {"system": "pim", "version": 2, "gtin": "113", "group": "G"},
    ]
    ends = set()
    for place, order in enumerate(itertools.permutations(said)):
        for sentence in order:
            say(**{**sentence, "key": f"V-{place}"})
        ends.add(str(live(f"V-{place}")))
    assert ends == {str([("gtin", "pim", "113", "112", "sap owns variant.gtin", "by_rule")])}


def test_a_conflict_lasts_until_it_differs_no_more_and_a_new_one_begins_then() -> None:
    say("sap", gtin="111")
    say("pim", gtin="222")
    first = Conflict.objects.get()
    Conflict.objects.update(since=MARCH, changed_at=MARCH)
    say("sap", version=2, gtin="111", size="M")
    assert Conflict.objects.get().changed_at == MARCH
    say("pim", version=2, gtin="333")
    same = Conflict.objects.get()
    assert (same.pk, same.since, same.value) == (first.pk, MARCH, "333")
    assert same.changed_at > MARCH
    say("sap", version=3, gtin="333")
    assert live() == []
    say("pim", version=3, gtin="222")
    assert Conflict.objects.count() == 2
    gone("pim")
    assert live() == []
    say("pim", version=4, gtin="222")
    gone("sap")
    # nobody is left to lose against
    assert live() == []
    assert Conflict.objects.filter(closed_at=None).count() == 0


def test_what_one_system_alone_speaks_about_has_no_conflicts_until_a_second_one_comes() -> None:
    say("sap", gtin="111")
    say("sap", key="V-2", gtin="111")
    say("pim", key="V-2", gtin="222")
    assert (live(), len(live("V-2"))) == ([], 1)


def test_values_are_compared_as_what_they_are_and_not_as_they_are_spelled() -> None:
    say("sap", "P", entity="price", amount="25.9", valid_from="2026-01-01", currency="EUR")
    say("shop", "P", entity="price", amount="25.900", valid_from="2026-01-01", currency="EUR")
    assert live("P") == []
    say("shop", "P", 2, entity="price", amount="25.91", valid_from="2026-01-01", currency="EUR")
    assert [(field, value, other) for field, _, value, other, _, _ in live("P")] == [
        ("amount", "25.91", "25.9000")
    ]


def test_a_value_that_its_column_could_not_hold_is_a_conflict_and_stops_nothing() -> None:
    OwnershipRule.objects.filter(entity="price").update(fallbacks=[])
    say("sap", "P", entity="price", amount="25.90")
    say("shop", "P", entity="price", amount="on request")
    assert [(field, value) for field, _, value, *_ in live("P")] == [("amount", "on request")]


def test_of_a_text_only_the_locales_that_are_said_are_compared() -> None:
    say("pim", name={"en_US": "Tent", "de_DE": "Zelt"})
    say("sap", name={"en_US": "Tent"})
    assert live() == []
    say("sap", version=2, name={"en_US": "TENT 2P"})
    assert [(field, value) for field, _, value, *_ in live()] == [("name", {"en_US": "TENT 2P"})]


def test_explanations_and_conflicts_know_one_definition_of_what_loses() -> None:
    say("sap", gtin="111", colour="grey", size="M", name={"en_US": "Tent"})
    say("pim", gtin="222", colour="grey", group="G", name={"en_US": "Tent", "de_DE": "Zelt"})
    say("shop", gtin="111", size="L")
    told = {
        (candidate.record.pk, one.field)
        for one in explain_all(Variant.objects.get(pk="V-1"))
        for candidate in one.candidates
        if candidate.differs
    }
    kept = set(Conflict.objects.filter(closed_at=None).values_list("record_id", "field"))
    assert told == kept
    assert len(kept) == 4
    shown = explain_all(Variant.objects.get(pk="V-1"), ["gtin"])[0].candidates
    assert [c.conflict.state if c.conflict else None for c in shown] == [None, "by_rule", None]


def test_what_a_person_accepted_stays_accepted_until_a_value_changes() -> None:
    say("sap", gtin="111")
    say("pim", gtin="222")
    Conflict.objects.update(
        state="by_hand", settled_by="ola", settled_at=Now(), settled_because="checked"
    )
    say("pim", version=2, gtin="222", size="M")
    say("sap", version=2, gtin="111", size="M")
    assert Conflict.objects.get().settled_by == "ola"
    say("pim", version=3, gtin="223", size="M")
    row = Conflict.objects.get()
    assert (row.state, row.settled_by, row.settled_at) == ("by_rule", "", None)


def test_a_record_that_speaks_of_another_row_now_takes_its_conflict_along() -> None:
    say("sap", "V-1", gtin="111")
    say("sap", "V-2", gtin="111")
    source = source_id("pim", "variants", "variant")
    for version, key in ((1, "V-1"), (2, "V-2")):
        payload = json.dumps({"to": key}).encode()
        said = Contribution(
            source, "R", key, payload, payload_hash(payload), {"gtin": "2"}, version
        )
        with transaction.atomic():
            apply_contributions([said], Cause(), entities=["variant"])
        assert (len(live("V-1")), len(live("V-2"))) == ((1, 0) if key == "V-1" else (0, 1))
