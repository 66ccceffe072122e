"""Any interleaving of what systems say ends as the plain definition of survivorship says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog.entities import Price, entity
from catalog.explain import explain_all
from catalog.held import HeldValue
from catalog.merge import Cause
from catalog.ownership import Others, OwnershipRule
from catalog.rule_checks import RuleRefusedError, check
from catalog.source import SourceRecord, source_id
from catalog.stage import Contribution, Told, apply_contributions, payload_hash
from tests.unit.catalog.survivorship_reference import Reference, Said

pytestmark = pytest.mark.django_db

NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)
SYSTEMS = ("erp", "pim", "steward", "crm")
#: Far enough from the time that the test takes.
AGES = (timedelta(seconds=30), 10 * HOUR)
SILENT = int(HOUR.total_seconds())


@pytest.fixture(autouse=True)
def dimensions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prices are for a channel too, which no entity of ours is: their currency stands for it."""
    scopes = {"market": "market", "channel": "currency"}
    monkeypatch.setattr(Price, "declaration", replace(Price.declaration, scopes=scopes))


@dataclass(frozen=True)
class World:
    """What is drawn of one entity."""

    name: str
    fields: dict[str, st.SearchStrategy[Any]]
    localized: tuple[str, ...] = ()
    scopes: tuple[tuple[str, str], ...] = ()


TEXTS = st.dictionaries(
    st.sampled_from(["en_US", "de_DE", "fr_FR"]), st.sampled_from("xyz"), min_size=1
)
WORLDS = (
    World(
        "price",
        {
            "market": st.sampled_from(["DE", "US"]),
            "currency": st.sampled_from(["EUR", "USD"]),
            "amount": st.sampled_from(["1.0000", "2.0000", "3.0000"]),
        },
        scopes=(("market", "market"), ("channel", "currency")),
    ),
    World(
        "product",
        {"name": TEXTS, "description": TEXTS, "brand": st.sampled_from("xyz")},
        localized=("name", "description"),
    ),
)


@st.composite
def rule_sets(draw: st.DrawFn, world: World) -> list[OwnershipRule]:
    """Rules that a person could have written: each was accepted beside those before it."""
    found: list[OwnershipRule] = []
    for _ in range(draw(st.sampled_from([0, 1, 2, 3, 4, 6]))):
        order = draw(st.permutations([s for s in SYSTEMS if s != "steward"]))
        others = draw(st.sampled_from(Others.values))
        rule = OwnershipRule(
            entity=world.name,
            field=draw(st.sampled_from(["", "", *world.fields])),
            locale=draw(st.sampled_from(["", "", "de_DE", "fr_FR"])) if world.localized else "",
            market=draw(st.sampled_from(["", "", "DE"])) if world.scopes else "",
            channel=draw(st.sampled_from(["", "", "EUR"])) if world.scopes else "",
            valid_from=draw(st.sampled_from([None, None, NOW - HOUR, NOW + HOUR])),
            valid_to=draw(st.sampled_from([None, None, None, NOW + 2 * HOUR])),
            owner=order[0],
            fallbacks=list(order[1 : 1 + draw(st.integers(0, 2))]),
            others=others,
            silent_after=SILENT if others == Others.FALLBACK else None,
            pk=len(found) + 1,
        )
        try:
            check(rule, found)
        except RuleRefusedError:
            continue
        found.append(rule)
    return found


@st.composite
def sentences(draw: st.DrawFn, world: World) -> list[Contribution]:
    """What is said, in the order in which it arrives; some of it late, some of it twice."""
    said = []
    for version in range(1, draw(st.sampled_from([1, 4, 6, 8])) + 1):
        fields = {
            name: value
            for name, values in world.fields.items()
            if draw(st.sampled_from([True, True, False])) and (value := draw(values))
        }
        changed = draw(st.sampled_from([None, NOW - 2 * HOUR, NOW - HOUR]))
        observed = NOW - draw(st.sampled_from(AGES))
        payload = json.dumps([version, fields]).encode()
        said.append(
            Contribution(
                source_id(draw(st.sampled_from(SYSTEMS)), "all", world.name), "R", "K",
                payload, payload_hash(payload), fields, version, changed,
                deleted=draw(st.sampled_from([False] * 7 + [True])),
                told=Told(observed, ""),
            )
        )  # fmt: skip
    arrived = draw(st.permutations(said))
    return arrived + draw(st.lists(st.sampled_from(said), max_size=2))


def spoken(said: Sequence[Contribution], systems: dict[int, str]) -> list[Said]:
    """The newest of what each system said, where it is no deletion; first connected first."""
    last: dict[int, Contribution] = {}
    for one in sorted(said, key=lambda c: c.version):
        last[one.source_id] = one
    return [
        Said(systems[source], one.fields, one.changed_at, one.told.observed_at)
        for source, one in sorted(last.items())
        if not one.deleted and one.told
    ]


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
def test_whatever_arrives_in_whatever_order(world: World, data: st.DataObject) -> None:
    systems = {source_id(system, "all", world.name): system for system in SYSTEMS}
    with transaction.atomic():
        rules = data.draw(rule_sets(world))
        OwnershipRule.objects.bulk_create(rules)
        said = data.draw(sentences(world))
        for one in said:
            apply_contributions([one], Cause(), entities=[world.name])
        heard = spoken(said, systems)
        expected = Reference(
            rules, NOW, tuple(world.fields), world.localized, dict(world.scopes)
        ).outcome(heard)
        row = entity(world.name)._default_manager.filter(pk="K").first()
        alive = row is not None and row.deleted_at is None
        # what a person decided does not keep alive what every system has withdrawn
        assert alive is any(one.system != "steward" for one in heard)
        records = dict(SourceRecord.objects.values_list("id", "source__system"))
        if row is not None and alive:
            values = {f: getattr(row, f) for f in world.fields}
            values = {
                f: v if v is None or isinstance(v, dict) else str(v) for f, v in values.items()
            }
            assert values == dict.fromkeys(world.fields) | dict(expected.values)
            behind = {label: records[record] for label, record in row.provenance.items()}
            assert behind == expected.systems
            for told in explain_all(row):
                system = told.winner.system if told.winner else None
                assert system == expected.systems.get(told.field) or told.field in world.localized
        held = HeldValue.objects.values_list("field", "source_id", "value")
        assert {(f, systems[s]): v for f, s, v in held} == (expected.held if alive else {})
        transaction.set_rollback(True)
