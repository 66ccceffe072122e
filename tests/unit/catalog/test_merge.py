"""Survivorship: what the company believes follows from what is stored, never from arrival order."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import DataError, connection, transaction

from catalog import staging
from catalog.entities import Price, Product, Variant
from catalog.explain import explain, provenance_of
from catalog.history import Revision
from catalog.merge import Cause
from catalog.notices import ChangeNotice
from catalog.ownership import OwnershipRule
from catalog.past import knowing
from catalog.source import SourceRecord, source_id
from catalog.stage import (
    Applied,
    Contribution,
    apply_contributions,
    payload_hash,
    withdraw,
    withdraw_children,
)

pytestmark = pytest.mark.django_db

MARCH = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def rules() -> None:
    OwnershipRule.objects.create(entity="variant", owner="akeneo", fallbacks=["sap"])
    OwnershipRule.objects.create(entity="variant", field="gtin", owner="sap", fallbacks=["akeneo"])
    OwnershipRule.objects.create(entity="variant", field="group", owner="sap")


def say(
    system: str, stream: str, entity: str, key: str, version: int = 1, **fields: Any
) -> Contribution:
    payload = json.dumps({"key": key, **fields}).encode()
    return Contribution(
        source_id(system, stream, entity), key, key, payload, payload_hash(payload), fields, version
    )


def apply(*said: Contribution, entity: str = "variant", **options: Any) -> Applied:
    with transaction.atomic():
        return apply_contributions(
            said, Cause(run_id=7, correlation_id="c-1"), entities=[entity], **options
        )


def variant(system: str, version: int = 1, **fields: Any) -> Contribution:
    return say(system, "variants", "variant", "V-1", version, **fields)


def test_each_field_comes_from_the_system_that_owns_it() -> None:
    apply(variant("sap", gtin="111", group="G", colour="grey", size="M"))
    apply(variant("akeneo", gtin="222", colour="blue", group="other"))
    row = Variant.objects.get(pk="V-1")
    assert (row.gtin, row.colour, row.group, row.size) == ("111", "blue", "G", "M")
    systems = {p.field: p.system for p in provenance_of(list(row.provenance.items()))}
    assert systems == {"gtin": "sap", "colour": "akeneo", "group": "sap", "size": "sap"}


@pytest.mark.django_db(transaction=True)
def test_what_a_session_staged_before_is_not_said_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("catalog.staging.MOST_BYTES", 300)
    files: list[int] = []
    for version in range(1, 8):
        applied = apply(variant("sap", version, colour=f"shade {version}"))
        assert (applied.stored, applied.merged.total) == (1, 1)
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*), pg_relation_filenode('stage') FROM stage")
            count, file = cursor.fetchone()
        assert count == 1
        files.append(file)
    assert 1 < len(set(files)) < len(files), "the file is cut now and then"
    assert Variant.objects.get(pk="V-1").colour == "shade 7"


def test_the_order_of_arrival_does_not_matter() -> None:
    said: list[dict[str, Any]] = [
        {"system": "sap", "version": 1, "gtin": "111", "colour": "grey"},
        {"system": "sap", "version": 2, "gtin": "112", "colour": "black"},
        {"system": "akeneo", "version": 1, "colour": "blue", "size": "S"},
        {"system": "akeneo", "version": 3, "colour": "green"},
    ]
    ends = set()
    for place, order in enumerate(itertools.permutations(said)):
        key = f"V-{place}"
        for sentence in order:
            fields = {k: v for k, v in sentence.items() if k not in {"system", "version"}}
            apply(
                say(sentence["system"], "variants", "variant", key, sentence["version"], **fields)
            )
        row = Variant.objects.get(pk=key)
        ends.add((row.gtin, row.colour, row.size))
    assert ends == {("112", "green", None)}


def test_applying_twice_and_late_changes_nothing() -> None:
    apply(variant("akeneo", 5, colour="blue"))
    before = list(Revision.objects.values())
    assert apply(variant("akeneo", 5, colour="blue")).stored == 0
    assert apply(variant("akeneo", 4, colour="red")).stored == 0
    assert Variant.objects.get(pk="V-1").colour == "blue"
    assert list(Revision.objects.values()) == before


def test_a_system_that_does_not_own_a_field_cannot_change_it_and_is_shown_as_a_candidate() -> None:
    apply(variant("sap", group="G"))
    apply(variant("akeneo", group="H"))
    told = explain(Variant.objects.get(pk="V-1"), "group")
    assert told.value == "G"
    assert told.winner is not None
    assert told.winner.system == "sap"
    assert told.rule is not None
    assert told.rule.owner == "sap"
    loser = told.candidates[1]
    assert (loser.system, loser.value, loser.differs, loser.allowed) == ("akeneo", "H", True, False)


def test_a_change_is_a_revision_with_old_and_new_value_and_the_past_can_be_read() -> None:
    apply(variant("akeneo", 1, colour="blue", size="S"))
    Revision.objects.update(at=MARCH)
    apply(variant("akeneo", 2, colour="green", size="S"))
    created, changed = Revision.objects.order_by("id")
    assert (created.kind, changed.kind) == ("created", "changed")
    assert changed.changes == {"colour": ["blue", "green"]}
    assert (changed.run_id, changed.correlation_id) == (7, "c-1")
    with knowing(MARCH):
        past = Variant.objects.get(pk="V-1")
        assert (past.colour, past.size) == ("blue", "S")
    with knowing(datetime(2025, 1, 1, tzinfo=UTC)):
        assert not Variant.objects.exists()
    assert Variant.objects.get(pk="V-1").colour == "green"


def test_a_record_is_buried_when_every_source_has_withdrawn_it_and_comes_back() -> None:
    apply(variant("akeneo", colour="blue"), variant("sap", colour="grey", gtin="1"))
    cause = Cause()
    withdraw(source_id("akeneo", "variants", "variant"), ["V-1"], cause, entity="variant")
    row = Variant.objects.get(pk="V-1")
    assert (row.colour, row.deleted_at) == ("grey", None)
    withdraw(source_id("sap", "variants", "variant"), ["V-1"], cause, entity="variant")
    assert Variant.objects.get(pk="V-1").deleted_at is not None
    assert apply(variant("sap", colour="grey", gtin="1"), present=False).stored == 0
    apply(variant("sap", colour="grey", gtin="1"))
    assert Variant.objects.get(pk="V-1").deleted_at is None
    kinds = Revision.objects.order_by("id").values_list("kind", flat=True)
    assert list(kinds) == ["created", "changed", "deleted", "restored"]


def test_a_record_that_moves_to_another_key_leaves_no_ghost() -> None:
    source = source_id("sap", "prices", "price")
    for version, start in ((1, "2026-01-01"), (2, "2026-02-01")):
        payload = json.dumps({"start": start}).encode()
        fields = {"amount": "9.90", "valid_from": start, "market": "DE"}
        key = f"V-1/DE/EUR/{start}"
        apply(
            Contribution(source, "C1", key, payload, payload_hash(payload), fields, version),
            entity="price",
        )
    live = Price.objects.filter(deleted_at=None)
    assert [p.pk for p in live] == ["V-1/DE/EUR/2026-02-01"]


def test_the_payload_is_kept_exactly_as_received() -> None:
    payload = '{ "name" : "Zelt \\u00fc \\\\ \\" \\t", "n": 1.10,\n\t"x":"ü" }'.encode()
    source = source_id("pim", "texts", "product")
    fields = {"name": {"de_DE": 'Zelt \\ " \t\n'}}
    apply(
        Contribution(source, "P/1\\", "P\t1", payload, payload_hash(payload), fields, 1),
        entity="product",
    )
    record = SourceRecord.objects.get(record_key="P/1\\")
    assert record.payload == payload.decode()
    assert Product.objects.get(pk="P\t1").name == fields["name"]


def test_children_that_their_parent_no_longer_holds_are_withdrawn_but_not_by_an_older_parent() -> (
    None
):
    source = source_id("sap", "lines", "order_line")
    for position in (10, 20):
        payload = b"{}"
        key = f"1/{position}"
        apply(
            Contribution(
                source, key, key, payload, payload_hash(payload), {"position": position}, 5
            ),
            entity="order_line",
        )
    cause = Cause()
    old = withdraw_children(source, {"1": 4}, ["1/10"], cause, entity="order_line")
    new = withdraw_children(source, {"1": 5}, ["1/10"], cause, entity="order_line")
    assert (old.stored, new.stored, new.merged.deleted) == (0, 1, 1)


@pytest.mark.django_db(transaction=True)
def test_a_session_takes_small_batches_and_large_ones_in_any_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(staging, "SMALL", 3)
    monkeypatch.setattr(staging, "MOST_BYTES", 500)
    monkeypatch.setattr(staging, "MOST_ROWS", 7)
    connection.close()  # of which no session knows its tables
    sizes = (1, 3, 3, 2, 3, 5, 1, 4, 2)
    for version, size in enumerate(sizes, start=1):
        said = (
            say("sap", "variants", "variant", f"V-{n}", version, colour=f"{version}")
            for n in range(size)
        )
        applied = apply(*said)
        # What was left of the batch before would be the same record twice.
        assert (applied.stored, applied.merged.total) == (size, size)
    assert Revision.objects.count() == sum(sizes)


def test_a_value_that_does_not_fit_its_column_is_refused_whole() -> None:
    with pytest.raises(DataError), transaction.atomic():
        apply(say("sap", "prices", "price", "P", amount="a lot"), entity="price")
    assert not SourceRecord.objects.exists()


def test_every_change_is_told_in_the_same_commit_and_nothing_else_is() -> None:
    others = [say("akeneo", "variants", "variant", f"V-{n}", colour="blue") for n in (3, 2)]
    apply(variant("akeneo", colour="blue"), *others)
    apply(variant("akeneo", colour="blue"))
    apply(variant("akeneo", 2, colour="green"), others[0])
    withdraw(others[0].source_id, ["V-1", "V-3"], Cause(event_id=9), entity="variant")
    apply(variant("akeneo", 2, colour="green"))
    told = ChangeNotice.objects.order_by("id")
    assert [list(notice.changes()) for notice in told] == [
        [("V-1", "created"), ("V-2", "created"), ("V-3", "created")],
        [("V-1", "changed")],
        [("V-1", "deleted"), ("V-3", "deleted")],
        [("V-1", "restored")],
    ]
    assert {notice.entity for notice in told} == {"variant"}
    assert (told[0].run_id, told[0].event_id, told[0].correlation_id) == (7, None, "c-1")
    assert (told[2].run_id, told[2].event_id) == (None, 9)
    assert told[0].at == Revision.objects.earliest("id").at
