"""Renames: found by the values, told from false friends, noticed where no contract is broken."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db.models.functions import Now

from catalog.entities import Stock
from connectors.drift import detective, weekly
from connectors.drift.aliases import accept, end
from connectors.drift.renaming import renamed
from connectors.models import (
    Connection,
    DriftIncident,
    FieldAlias,
    MemberChange,
    QuarantinedRecord,
)
from connectors.runtime import queue
from connectors.runtime.prepare import Preparer
from connectors.runtime.pull import execute
from observability.errors import ConfigurationError
from tests.telling import (
    LEVELS,
    Poisonable,
    TellingConnector,
    key,
    level,
    outcome,
    tell,
    telling,
    work,
    worked,
)

pytestmark = pytest.mark.django_db(transaction=True)
MANY = 300


class Lax(Poisonable):
    """A level whose reserved quantity may be absent, as vendors publish most of their members."""

    reserved: Decimal | None = None  # type: ignore[assignment]


@pytest.fixture
def row() -> Connection:
    return telling()


def sku(number: int) -> str:
    return f"S-{number:04d}"


def say(second: int, made: Any = None, count: int = MANY) -> None:
    """The upstream's records as of a moment; `made` changes each (number, record)."""
    for number in range(count):
        record = level(sku(number), number % 40, second, reserved=str(number % 7), unit="PC")
        TellingConnector.held[key(sku(number))] = made(number, record) if made else record


def moved(old: str, new: str, but: int = 0) -> Any:
    """Renames a member; in every `but`-th record another value stands there."""

    def change(number: int, record: dict[str, Any]) -> dict[str, Any]:
        record[new] = record.pop(old)
        if but and number % but == 0:
            record[new] = "999"
        return record

    return change


def found(row: Connection, path: str) -> list[detective.Candidate]:
    stream = row.streams.get()
    source = Preparer(row.slug, stream.spec).source
    return detective.candidates(stream, source, path)


def drain() -> None:
    while (taken := queue.claim()) is not None:
        execute(*taken)


def test_a_rename_is_found_by_its_values(row: Connection) -> None:
    say(1)
    worked(row, "full")
    say(2, moved("available", "AVAILABLE", but=100))
    assert worked(row, "full").quarantined == MANY
    (one,) = found(row, "available")
    assert one.sure
    assert one.text == "`AVAILABLE` equals the former `available` in 99.0 % of 300 records"
    (incident,) = DriftIncident.objects.all()
    assert incident.details["proposals"][0]["text"] == one.text
    assert incident.details["records"] == MANY


def test_false_friends_are_told_apart(row: Connection) -> None:
    def change(number: int, record: dict[str, Any]) -> dict[str, Any]:
        del record["unit"]
        value = record.pop("available")
        return record | {
            "always": "7", "nothing": None, "half": value if number % 2 else "-1",
            "constant": "PC", "true_one": value,
        }  # fmt: skip

    say(1)
    worked(row, "full")
    say(2, change)
    worked(row, "full")
    ranked = found(row, "available")
    assert [one.member for one in ranked if one.sure] == ["true_one"]
    assert ranked[0].member == "true_one"
    assert "half" in {one.member for one in ranked}
    # Equal in every record, and of one value: no proof.
    assert [(one.member, one.values) for one in found(row, "unit")] == [("constant", 1)]
    assert not found(row, "unit")[0].sure


def test_values_that_are_gone_altogether_propose_nothing(row: Connection) -> None:
    say(1)
    worked(row, "full")
    say(2, lambda _, record: {n: v for n, v in record.items() if n != "available"} | {"new": None})
    worked(row, "full")
    assert not found(row, "available")


def test_an_accepted_alias_replays_what_was_held_and_stores_it_as_received(row: Connection) -> None:
    say(1, count=20)
    worked(row, "full")
    say(2, moved("available", "AVAILABLE"), count=20)
    worked(row, "full")
    late = level(sku(3), 77, 3, unit="PC")
    tell(row, "e1", sku(3), moved("available", "AVAILABLE")(3, late))
    work()
    assert outcome("e1").state == "dead"
    stream = row.streams.get()
    accept(stream, "available", "AVAILABLE", by="ola", evidence="said the detective")
    drain()
    work()
    assert not QuarantinedRecord.objects.exists()
    assert outcome("e1").state == "applied"
    stock = Stock.objects.get(pk=f"{sku(3)}/AMS")
    assert (stock.available, stock.on_hand) == (77, 77)
    assert not DriftIncident.objects.filter(resolved_at=None).exists()
    # The first look after it sees nothing new.
    assert not MemberChange.objects.exists()
    end(FieldAlias.objects.get(), "ola")
    say(4, moved("available", "AVAILABLE"), count=20)
    assert worked(row, "full").quarantined == 20


def test_an_alias_ends_when_its_time_is_up_or_the_contract_names_the_member(
    row: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = row.streams.get()
    say(1, count=3)
    worked(row, "full")
    alias = accept(stream, "available", "AVAILABLE", by="ola", days=-1)
    drain()
    alias.refresh_from_db()
    assert alias.ended_because == "its time was up"
    alias = accept(stream, "reserved", "RESERVED", by="ola")

    class Mended(Poisonable):
        reserved: Decimal | None = None  # type: ignore[assignment]
        RESERVED: Decimal | None = None

    mended = replace(LEVELS, contract=Mended)
    monkeypatch.setattr(TellingConnector, "streams", (mended,))
    drain()
    worked(row, "full")
    alias.refresh_from_db()
    assert alias.ended_because == "the contract names RESERVED now"


def test_what_cannot_be_an_alias_is_refused(row: Connection) -> None:
    stream = row.streams.get()
    with pytest.raises(ConfigurationError, match="reads no member 'colour'"):
        accept(stream, "colour", "color", by="ola")
    with pytest.raises(ConfigurationError, match="has a member of that name already"):
        accept(stream, "available", "on_hand", by="ola")
    assert not FieldAlias.objects.exists()


def test_a_renamed_record_keeps_the_spelling_of_its_values() -> None:
    raw = b'{"a":{"x":[{"new":1.10},{"new":2e400}]},"b":"\\u00e9"}'
    assert renamed(raw, {"a.x.old": "new"}) == (
        b'{"a":{"x":[{"old":1.10},{"old":2e400}]},"b":"\\u00e9"}'
    )
    assert renamed(b"no json", {"a": "b"}) == b"no json"


# --- no contract is broken ---------------------------------------------------------------------------


@pytest.fixture
def lax(row: Connection, monkeypatch: pytest.MonkeyPatch) -> Connection:
    monkeypatch.setattr(TellingConnector, "streams", (replace(LEVELS, contract=Lax),))
    return row


def reserved() -> dict[str, Decimal | None]:
    return dict(Stock.objects.order_by("key").values_list("key", "reserved"))


def test_a_renamed_member_that_may_be_absent_is_held_before_its_values_are_lost(
    lax: Connection,
) -> None:
    say(1, count=20)
    worked(lax, "full")
    before = reserved()
    say(2, moved("reserved", "RESERVED"), count=20)
    assert worked(lax, "full").quarantined == 20
    assert reserved() == before
    (incident,) = DriftIncident.objects.all()
    assert (incident.details["path"], incident.details["successor"]) == ("reserved", "RESERVED")
    # It stays so for one that comes later, and alone.
    tell(lax, "e1", sku(1), moved("reserved", "RESERVED")(1, level(sku(1), 9, 3, reserved="4")))
    work()
    assert outcome("e1").state == "dead"
    accept(lax.streams.get(), "reserved", "RESERVED", by="ola")
    drain()
    work()
    assert reserved() == before | {f"{sku(1)}/AMS": Decimal(4)}
    assert not DriftIncident.objects.filter(resolved_at=None).exists()


def test_one_that_vanishes_record_by_record_is_noticed_and_restored(lax: Connection) -> None:
    say(1, count=12)
    worked(lax, "full")
    before = reserved()
    for number in range(3):
        change = moved("reserved", "RESERVED")
        TellingConnector.held[key(sku(number))] = change(
            number, level(sku(number), number, 2, reserved=str(number % 7))
        )
        worked(lax, "full")
    assert [value for value in reserved().values() if value is None] == [None] * 3
    (incident,) = DriftIncident.objects.filter(resolved_at=None)
    assert incident.details["successor"] == "RESERVED"
    assert found(lax, "reserved")[0].sure
    accept(lax.streams.get(), "reserved", "RESERVED", by="ola")
    drain()
    assert reserved() == before


def test_clearing_a_value_is_no_rename(lax: Connection) -> None:
    say(1, count=20)
    worked(lax, "full")

    def cleared(number: int, record: dict[str, Any]) -> dict[str, Any]:
        if number % 4:
            del record["reserved"]
        return record

    say(2, cleared, count=20)
    assert worked(lax, "full").quarantined == 0
    assert not DriftIncident.objects.exists()
    assert not MemberChange.objects.exists()


def test_additive_drift_is_reported_once_and_pages_nobody(row: Connection) -> None:
    say(1, count=20)
    worked(row, "full")
    say(2, lambda _, record: record | {"bin": "7-B"}, count=20)
    assert worked(row, "full").quarantined == 0
    (change,) = MemberChange.objects.all()
    assert (change.path, change.change, change.values[change.first_record]) == (
        "bin", "appeared", "7-B",
    )  # fmt: skip
    assert not DriftIncident.objects.exists()
    seen = change.records
    say(3, lambda _, record: record | {"bin": "7-B"}, count=20)
    worked(row, "full")
    change.refresh_from_db()
    assert change.records == seen
    out = StringIO()
    call_command("contract", "drift", stdout=out)
    assert "telling.stock: bin" in out.getvalue()
    out = StringIO()
    call_command("contract", "drift", "elsewhere", stdout=out)
    assert out.getvalue() == "no drift in 7 days\n"


def test_additive_drift_is_reported_once_a_week(row: Connection) -> None:
    say(1, count=20)
    worked(row, "full")
    say(2, lambda _, record: record | {"bin": "7-B"}, count=20)
    worked(row, "full")
    assert weekly.report_when_due() == []
    MemberChange.objects.update(first_seen_at=Now() - timedelta(days=8))
    assert weekly.report_when_due() == ["telling.stock: bin appeared"]
    assert weekly.report_when_due() == []


def test_a_record_that_keeps_to_its_contract_asks_for_no_policy(
    row: Connection, django_assert_max_num_queries: Any
) -> None:
    say(1, count=20)
    worked(row, "full")
    stream = row.streams.get()
    preparer = Preparer(row.slug, stream.spec)
    say(2, count=20)
    page = [json.dumps(record).encode() for record in TellingConnector.held.values()]
    preparer.page(page, 1)
    with django_assert_max_num_queries(5):  # in a transaction: settings, changes, one look
        prepared = preparer.page(page, 1)
    assert len(prepared.contributions) == 20
    assert prepared.broken == prepared.tolerated == []
