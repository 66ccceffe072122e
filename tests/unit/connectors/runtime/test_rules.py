"""A worker applies changed rules, opened windows and silences, and gives way at its deadline."""

from __future__ import annotations

from datetime import timedelta
from time import monotonic

import pytest
from django.db.models.functions import Now

from catalog import rule_changes
from catalog.due import MergeDue
from catalog.entities import Variant
from catalog.ownership import OwnershipRule
from catalog.rule_changes import RuleChange, save
from catalog.source import SourceRecord
from connectors.runtime import bell, tasks
from connectors.runtime.rules import apply_rules
from connectors.runtime.supervisor import Supervisor
from tests import catalogue

pytestmark = pytest.mark.django_db(transaction=True)

ERP, PIM = "4006381333931", "0000000000000"


def never() -> bool:
    return False


def gtins() -> set[str | None]:
    return set(Variant.objects.values_list("gtin", flat=True))


def test_everything_that_waits_is_done_by_whoever_comes() -> None:
    catalogue.fill(3)
    rule = OwnershipRule.objects.get(entity="variant", field="gtin")
    rule.others, rule.silent_after, rule.fallbacks = "fallback", 3600, []
    save(rule, "ada")
    assert rule_changes.waiting()
    assert not apply_rules(monotonic() + 60, never)
    assert not rule_changes.waiting()
    assert gtins() == {ERP}
    hours = timedelta(hours=2)
    SourceRecord.objects.filter(source__system="sap").update(observed_at=Now() - hours)
    MergeDue.objects.update(at=Now())
    assert rule_changes.waiting()
    assert not apply_rules(monotonic() + 60, never)
    assert gtins() == {PIM}
    OwnershipRule.objects.create(
        entity="variant", field="gtin", owner="sap", valid_from=Now() - hours
    )
    assert not apply_rules(monotonic() + 60, never)
    assert gtins() == {ERP}
    assert list(RuleChange.objects.values_list("kind", "state")) == [
        ("opened", "done"), ("changed", "done")
    ]  # fmt: skip


def test_it_gives_way_at_its_deadline_and_the_task_rings_for_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    catalogue.fill(1)
    save(OwnershipRule.objects.get(entity="variant", field="gtin"), "ada")
    assert apply_rules(monotonic() - 1, never)
    assert RuleChange.objects.get().state == "queued"
    rung: list[str] = []
    monkeypatch.setattr(bell, "ring_for_rules", lambda: rung.append("rules"))
    supervisor = Supervisor()
    supervisor._ring_for_rules()
    supervisor._ring_for_rules()
    assert rung == ["rules"], "not twice within seconds"
    tasks.rules()
    assert RuleChange.objects.get().state == "done"
    assert rung == ["rules"]
