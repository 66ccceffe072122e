"""A rule that cannot be is refused, with the field that is wrong and what to do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from catalog.ownership import OwnershipRule
from catalog.rule_changes import remove, save
from catalog.rule_checks import RuleRefusedError, check
from catalog.source import source_id

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def systems() -> None:
    for system in ("sap", "akeneo"):
        source_id(system, "all", "price")


def rule(entity: str = "price", owner: str = "sap", **values: Any) -> OwnershipRule:
    return OwnershipRule(entity=entity, owner=owner, **values)


@pytest.mark.parametrize(
    ("values", "field", "said"),
    [
        ({"entity": "lorry"}, "entity", "There are: "),
        ({"field": "colour"}, "field", "no field 'colour'. It has: "),
        ({"owner": "oracle"}, "owner", "connected: akeneo, sap"),
        ({"owner": ""}, "owner", "Name the system"),
        ({"fallbacks": ["oracle"]}, "fallbacks", "No system 'oracle'"),
        ({"fallbacks": ["sap"]}, "fallbacks", "named twice"),
        ({"market": "ATLANTIS"}, "market", "Known are: DE, US"),
        ({"entity": "product", "market": "DE"}, "market", "It is of: "),
        ({"channel": "web"}, "channel", "Leave it empty"),
        ({"field": "market", "market": "DE"}, "market", "cannot be narrowed by it"),
        ({"locale": "de_DE"}, "locale", "Leave the locale empty"),
        (
            {"entity": "product", "field": "brand", "locale": "de_DE"},
            "locale",
            "Localized are: name",
        ),
        ({"entity": "product", "locale": "tlh"}, "locale", "HEADWATER_LOCALES has: en_US"),
        ({"others": "fallback"}, "silent_after", "how many seconds"),
        ({"others": "newest", "silent_after": 5}, "silent_after", "leave it empty"),
        ({"others": "shout"}, "others", "There are: reject"),
        ({"valid_from": NOON, "valid_to": NOON}, "valid_to", "ends before it begins"),
    ],
)
def test_what_there_is_not(values: dict[str, Any], field: str, said: str) -> None:
    with pytest.raises(RuleRefusedError) as refused:
        check(rule(**values), [])
    assert said in refused.value.problems[field]


def saved(**values: Any) -> OwnershipRule:
    row = rule(**values)
    save(row, "ada")
    return row


def test_a_narrower_rule_goes_beside_a_wider_one_and_a_crossing_one_does_not() -> None:
    saved(reason="all")
    market = saved(market="DE")
    assert saved(market="DE", field="amount").pk
    with pytest.raises(RuleRefusedError, match=f"Rule {market.pk} .*is for exactly this already"):
        saved(market="DE", owner="akeneo")
    with pytest.raises(RuleRefusedError, match="field currency, market DE"):
        saved(field="currency", owner="akeneo")
    saved(market="DE", field="currency")
    both = saved(field="currency", owner="akeneo")
    # now they contradict each other again if the one for both goes
    between = OwnershipRule.objects.get(market="DE", field="currency")
    with pytest.raises(RuleRefusedError, match="contradicts"):
        remove(between, "ada")
    assert OwnershipRule.objects.filter(pk__in=[between.pk, both.pk]).count() == 2
    remove(both, "ada")
    remove(between, "ada")


def test_windows_may_follow_each_other_and_lie_in_each_other_and_not_cross() -> None:
    saved(valid_to=NOON)
    saved(valid_from=NOON, valid_to=NOON + 9 * DAY)
    saved(valid_from=NOON + DAY, valid_to=NOON + 2 * DAY, owner="akeneo")
    with pytest.raises(RuleRefusedError, match="valid from 2026-06-09 12:00"):
        saved(valid_from=NOON + 8 * DAY, valid_to=NOON + 10 * DAY)


def test_what_cannot_meet_does_not_contradict() -> None:
    """A text's locale and a field without locales; a market, and the field that says it."""
    saved(entity="product", locale="de_DE")
    saved(entity="product", field="brand")
    saved(market="DE")
    saved(field="market", owner="akeneo")
