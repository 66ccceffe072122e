"""A rule that changes while records are merged: no record keeps the old rule's outcome unnoticed."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from django.db import transaction

from catalog.entities import Variant
from catalog.merge import Cause
from catalog.ownership import OwnershipRule
from catalog.source import source_id
from catalog.stage import Contribution, apply_contributions, payload_hash
from connectors.runtime.wake import dedicated

pytestmark = pytest.mark.django_db(transaction=True)


def say(system: str, key: str, **fields: Any) -> None:
    payload = f"{system}{key}".encode()
    said = Contribution(
        source_id(system, "variants", "variant"), key, key, b"{}", payload_hash(payload), fields, 1
    )
    apply_contributions([said], Cause(), entities=["variant"])


def test_a_rule_waits_for_the_merges_that_were_compiled_under_it() -> None:
    rule = OwnershipRule.objects.create(entity="variant", owner="akeneo")
    change = "UPDATE catalog_ownershiprule SET owner = 'sap' WHERE id = %s"
    with dedicated() as other:
        other.execute("SET lock_timeout = '200ms'")
        with transaction.atomic():
            say("akeneo", "V-1", name={"en_US": "PIM"})
            with pytest.raises(psycopg.errors.LockNotAvailable):
                other.execute(change, [rule.pk])
        assert other.execute(change, [rule.pk]).rowcount == 1


def test_the_next_merge_of_a_process_knows_the_rule_that_another_changed() -> None:
    rule = OwnershipRule.objects.create(entity="variant", owner="akeneo", fallbacks=["sap"])
    for key in ("V-1", "V-2"):
        with transaction.atomic():
            say("sap", key, gtin="1111111111111")
            say("akeneo", key, gtin="2222222222222")
    assert Variant.objects.get(key="V-1").gtin == "2222222222222"
    with dedicated() as other:
        other.execute(
            "UPDATE catalog_ownershiprule SET owner = 'sap', fallbacks = '{}' WHERE id = %s",
            [rule.pk],
        )
    with transaction.atomic():
        say("sap", "V-3", gtin="1111111111111")
        say("akeneo", "V-3", gtin="2222222222222")
    assert Variant.objects.get(key="V-3").gtin == "1111111111111"
