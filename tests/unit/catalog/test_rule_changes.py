"""A rule that changes: seen first, then applied to the records that are there, with history."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.db.models.functions import Now

from catalog import rule_changes
from catalog.conflicts import Conflict
from catalog.due import MergeDue, merge_due
from catalog.entities import Price, Product
from catalog.held import HeldValue
from catalog.history import Revision
from catalog.merge import Cause
from catalog.notices import ChangeNotice
from catalog.ownership import OwnershipRule
from catalog.rule_changes import RuleChange, preview, remove, save
from catalog.source import SourceRecord, source_id
from catalog.stage import Contribution, apply_contributions, payload_hash
from observability.clock import database_now

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)


def tell(system: str, entity: str, key: str, version: int = 1, **fields: Any) -> None:
    payload = f"{system}{key}{version}".encode()
    source = source_id(system, "all", entity)
    said = Contribution(source, key, key, b"{}", payload_hash(payload), fields, version)
    with transaction.atomic():
        apply_contributions([said], Cause(), entities=[entity])


@pytest.fixture
def prices() -> OwnershipRule:
    """Five prices of which two systems say different amounts; the ERP owns all."""
    rule = OwnershipRule.objects.create(entity="price", owner="sap", fallbacks=["pim"])
    for number in range(5):
        market = "DE" if number % 2 else "US"
        tell("sap", "price", f"C-{number}", amount="1", market=market, currency="EUR")
        tell("pim", "price", f"C-{number}", amount="2", market=market, currency="EUR")
    return rule


def amounts() -> dict[str, str]:
    return {price.key[2:]: f"{price.amount:.0f}" for price in Price.objects.order_by("key")}


def applied() -> None:
    while rule_changes.work():
        pass


def test_what_a_change_would_do_is_what_it_does(
    prices: OwnershipRule, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rule_changes, "PAGE", 2)
    rule = OwnershipRule(entity="price", field="amount", market="DE", owner="pim")
    seen = preview(rule)
    assert (seen.seen, seen.changed, seen.moved) == (5, 2, 0)
    assert [key for key, _ in seen.sample] == ["C-1", "C-3"]
    assert seen.sample[0][1] == {"amount": ["1.0000", "2"]}
    assert set(amounts().values()) == {"1"}
    assert not RuleChange.objects.exists()
    last = Revision.objects.order_by("-id").values_list("id", flat=True)[0]
    change = save(rule, "ada", seen.changed)
    assert (change.kind, change.state, change.by, change.before) == (
        "created",
        "queued",
        "ada",
        None,
    )
    assert change.after is not None
    assert change.after["market"] == "DE"
    applied()
    change.refresh_from_db()
    assert (change.state, change.total, change.seen, change.changed) == ("done", 2, 2, 2)
    assert amounts() == {"0": "1", "1": "2", "2": "1", "3": "2", "4": "1"}
    because = Revision.objects.filter(id__gt=last)
    assert {r.correlation_id for r in because} == {change.correlation_id}
    assert sorted(r.key for r in because) == ["C-1", "C-3"]
    assert preview(rule).changed == 0
    # what loses is told under the rule that decided about its row
    ruled = Conflict.objects.filter(field="amount", closed_at=None).values_list("key", "rule_id")
    assert dict(ruled) == {f"C-{n}": rule.pk if n % 2 else prices.pk for n in range(5)} | {
        f"C-{n}": prices.pk for n in (0, 2, 4)
    }


def test_who_stops_in_the_middle_leaves_the_rest_to_the_next(
    prices: OwnershipRule, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rule_changes, "PAGE", 2)
    prices.owner, prices.fallbacks = "pim", ["sap"]
    change = save(prices, "ada")
    assert change.before is not None
    assert change.before["owner"] == "sap"
    assert rule_changes.work()

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as killed:
        killed.setattr(rule_changes, "merge_again", dies)
        with pytest.raises(KeyboardInterrupt), transaction.atomic():
            rule_changes.work()
    change.refresh_from_db()
    assert (change.state, change.cursor, change.seen, change.changed) == ("running", "C-1", 2, 2)
    assert list(amounts().values()) == ["2", "2", "1", "1", "1"]
    applied()
    change.refresh_from_db()
    assert (change.state, change.total, change.seen, change.changed) == ("done", 5, 5, 5)
    assert set(amounts().values()) == {"2"}
    assert change.finished_at is not None


def test_a_rule_that_goes_is_history_too(prices: OwnershipRule) -> None:
    save(OwnershipRule(entity="price", field="amount", owner="pim"), "ada")
    applied()
    narrow = OwnershipRule.objects.get(field="amount")
    assert preview(narrow, removed=True).changed == 5
    change = remove(narrow, "grace")
    applied()
    change.refresh_from_db()
    assert (change.kind, change.by, change.changed, change.after) == ("deleted", "grace", 5, None)
    assert set(amounts().values()) == {"1"}
    del prices


def test_a_window_opens_and_closes_by_itself(prices: OwnershipRule) -> None:
    rule = OwnershipRule(entity="price", field="amount", owner="pim")
    rule.valid_from, rule.valid_to = database_now() + HOUR, None
    assert preview(rule).changed == 5, "from when it opens"
    save(rule, "ada")
    applied()
    assert set(amounts().values()) == {"1"}
    assert not rule_changes.waiting()
    OwnershipRule.objects.filter(pk=rule.pk).update(valid_from=Now() - HOUR)
    assert rule_changes.waiting()
    assert rule_changes.plan_windows() == 1
    assert rule_changes.plan_windows() == 0
    applied()
    assert set(amounts().values()) == {"2"}
    OwnershipRule.objects.filter(pk=rule.pk).update(valid_to=Now())
    assert rule_changes.plan_windows() == 1
    applied()
    assert set(amounts().values()) == {"1"}
    kinds = RuleChange.objects.order_by("id").values_list("kind", "by", "changed")
    assert list(kinds) == [
        ("created", "ada", 0), ("opened", "the clock", 5), ("closed", "the clock", 5)
    ]  # fmt: skip
    assert not rule_changes.waiting()
    del prices


def grow_silent(system: str, key: str, by: timedelta = HOUR) -> None:
    """As if its record had been read so much earlier, and the time had passed since."""
    SourceRecord.objects.filter(source__system=system, entity_key=key).update(
        observed_at=Now() - by
    )
    MergeDue.objects.filter(key=key).update(at=Now())


def test_others_are_accepted_when_the_owner_has_been_silent_and_he_is_heard_again() -> None:
    save(
        OwnershipRule(
            entity="product", field="brand", owner="pim", others="fallback", silent_after=60
        ),
        "ada",
    )
    tell("pim", "product", "P-1", brand="Alpina")
    tell("crm", "product", "P-1", brand="Borea")
    assert Product.objects.get().brand == "Alpina"
    due = MergeDue.objects.get()
    seen = SourceRecord.objects.get(source__system="pim").observed_at
    assert due.at == seen + timedelta(seconds=60)
    assert merge_due()[0] == 0
    grow_silent("pim", "P-1")
    assert rule_changes.waiting()
    told = ChangeNotice.objects.count()
    found, merged = merge_due()
    assert (found, merged.changed) == (1, 1)
    assert Product.objects.get().brand == "Borea"
    assert ChangeNotice.objects.count() == told + 1, "and others are told of it"
    assert merge_due()[0] == 0
    assert not MergeDue.objects.exists()
    tell("pim", "product", "P-1", 2, brand="Alpina II")
    assert Product.objects.get().brand == "Alpina II"
    assert MergeDue.objects.count() == 1


def test_what_is_due_although_no_rule_waits_any_more_is_due_once() -> None:
    rule = OwnershipRule(entity="product", owner="pim", others="fallback", silent_after=60)
    save(rule, "ada")
    tell("pim", "product", "P-1", brand="Alpina")
    OwnershipRule.objects.all().delete()
    grow_silent("pim", "P-1")
    assert merge_due()[0] == 1
    assert merge_due()[0] == 0


def test_what_is_held_waits_until_it_is_the_same_or_the_rule_lets_it_in() -> None:
    tell("pim", "product", "P-1", brand="Alpina", slug="a")
    tell("crm", "product", "P-1", brand="Borea", slug="a")
    rule = OwnershipRule(entity="product", owner="pim", others="hold")
    save(rule, "ada")
    applied()
    held = HeldValue.objects.get()
    assert (held.key, held.field, held.value, held.source.system, held.rule_id) == (
        "P-1", "brand", "Borea", "crm", rule.pk
    )  # fmt: skip
    assert Conflict.objects.get(field="brand").state == "open", "no rule has settled it"
    since = held.since
    tell("crm", "product", "P-1", 2, brand="Borea", slug="b")
    assert HeldValue.objects.get(field="brand").since == since
    assert HeldValue.objects.get(field="slug").value == "b"
    tell("pim", "product", "P-1", 2, brand="Borea", slug="a")
    assert [h.field for h in HeldValue.objects.all()] == ["slug"]
    tell("steward", "product", "P-1", slug="b")
    assert Product.objects.get().slug == "b"
    assert not HeldValue.objects.exists()
    SourceRecord.objects.filter(source__system="steward").delete()
    rule.others = "newest"
    save(rule, "ada")
    applied()
    assert not HeldValue.objects.exists()
