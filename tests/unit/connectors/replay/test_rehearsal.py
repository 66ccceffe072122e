"""The dry run: what it says comes true, and it leaves nothing behind."""

from __future__ import annotations

import json
from typing import Any

import pytest

from catalog.entities import Stock
from catalog.history import Revision
from catalog.notices import ChangeNotice
from catalog.source import SourceRecord
from connectors.inbox import fetch, rehearse
from connectors.inbox.apply import OLDER
from connectors.inbox.letters import INBOX
from connectors.models import Connection, InboxEvent, Stream
from connectors.replay.chosen import Chosen
from connectors.replay.rehearsal import Rehearsal
from observability.errors import PermanentError
from tests.telling import TellingConnector, deliver, key, level, outcome, tell, telling, work

pytestmark = pytest.mark.django_db(transaction=True)

ALL = Chosen(places={"connection": "telling"})


@pytest.fixture
def row() -> Connection:
    return telling()


def everything() -> list[Any]:
    """All that a replay could touch, as it stands."""
    tables = (InboxEvent, Stock, SourceRecord, Revision, ChangeNotice)
    return [list(table._default_manager.order_by("pk").values()) for table in tables]


def dry_run(chosen: Chosen = ALL) -> Rehearsal:
    """A dry run that is held to its promise: nothing is written, nobody is called."""
    before, asked = everything(), list(TellingConnector.asked)
    made = INBOX.dry_run(chosen)
    assert everything() == before
    assert TellingConnector.asked == asked
    return made


def outcomes(made: Rehearsal) -> dict[str, int]:
    return {outcome.what: outcome.count for outcome in made.ranked}


def test_it_names_record_field_old_and_new_as_the_replay_then_writes_them(row: Connection) -> None:
    tell(row, "first", "A", level("A", 1, 1))
    work()
    TellingConnector.mapping_broken = True
    tell(row, "changed", "A", level("A", 5, 2))
    tell(row, "created", "B", level("B", 7, 2))
    work()
    TellingConnector.mapping_broken = False
    made = dry_run()
    assert (made.tried, outcomes(made), made.calls) == (2, {"applied": 2}, {})
    changed, created = made.shown_records
    assert (changed.entity, changed.key, changed.kind) == ("stock", "A/AMS", "changed")
    assert changed.letter == outcome("changed").pk
    assert [float(v) for v in changed.fields["available"]] == [1, 5]
    assert (created.key, created.kind) == ("B/AMS", "created")
    before, after = created.fields["available"]
    assert (before, float(after)) == (None, 7)
    assert made.field_count == len(changed.fields) + len(created.fields)
    INBOX.replay(ALL, "ola")
    work()
    revision = Revision.objects.get(key="A/AMS", kind="changed")
    assert revision.changes == changed.fields


def test_a_mapping_that_is_still_broken_fails_again(row: Connection) -> None:
    TellingConnector.mapping_broken = True
    for sku in ("A", "B"):
        tell(row, sku, sku, level(sku, 5, 2))
    work()
    assert outcomes(dry_run()) == {
        "fails again: contract: no unit of measure for Decimal(…)": 2,
    }


def test_one_that_fails_does_not_spoil_the_others(row: Connection) -> None:
    TellingConnector.mapping_broken = True
    tell(row, "bad", "A", level("A", 10**40, 1))
    for number in range(5):
        tell(row, f"good{number}", f"G{number}", level(f"G{number}", number, 1))
    work()
    TellingConnector.mapping_broken = False
    made = dry_run()
    assert made.tried == 6
    assert outcomes(made)["applied"] == 5
    assert [o.count for o in made.ranked if o.what.startswith("fails again")] == [1]


def test_what_is_older_is_superseded(row: Connection) -> None:
    TellingConnector.mapping_broken = True
    tell(row, "old", "A", level("A", 5, 1))
    work()
    TellingConnector.mapping_broken = False
    tell(row, "new", "A", level("A", 6, 2))
    work()
    made = dry_run()
    assert (outcomes(made), made.records) == ({f"superseded: {OLDER}": 1}, {})


def test_calls_are_listed_and_not_made(row: Connection) -> None:
    TellingConnector.held[key("A")] = PermanentError("400")
    for name in ("e1", "e2"):
        tell(row, name, "A")
    fetch.fetch_batch(row.pk)
    # As old as what is stored, and different: the replay would find that it has to ask.
    tell(row, "stored", "B", level("B", 1, 1))
    work()
    TellingConnector.mapping_broken = True
    tell(row, "tied", "B", level("B", 2, 1))
    work()
    TellingConnector.mapping_broken = False
    made = dry_run()
    assert {call.text: call.letters for call in made.shown_calls} == {
        f"GET record {key('A')} of stream stock at telling": 2,
        f"GET record {key('B')} of stream stock at telling": 1,
    }
    assert outcomes(made) == {rehearse.ASKED: 3}


def test_an_unreadable_delivery_shows_the_changes_of_the_events_in_it(row: Connection) -> None:
    TellingConnector.webhook_broken = True
    told = {"id": "e1", "key": key("A"), "record": level("A", 4, 1)}
    deliver(row, json.dumps(told).encode())
    deliver(row, json.dumps({"id": "e2", "key": key("B")}).encode())
    deliver(row, b"not json")
    TellingConnector.webhook_broken = False
    made = dry_run()
    assert [r.key for r in made.shown_records] == ["A/AMS"]
    assert [c.text for c in made.shown_calls] == [
        f"GET record {key('B')} of stream stock at telling"
    ]
    said = outcomes(made)
    assert said["read anew: 1 new in the inbox"] == 2
    assert any(what.startswith("fails again: contract") for what in said)


def test_what_ended_its_worker_is_not_tried_in_the_web_server(row: Connection) -> None:
    Stream.objects.filter(connection=row).update(retry_seconds=[0])
    tell(row, "exit", "A", level("A", 1, 1, poison="exit"))
    InboxEvent.objects.update(state="dead", error_code="abandoned", finished_at="2026-01-01T00:00Z")
    assert outcomes(dry_run()) == {rehearse.DANGEROUS: 1}


def test_many_letters_are_tried_in_bounded_batches(
    row: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rehearse, "MOST_TRIED", 25)
    monkeypatch.setattr(rehearse, "CHUNK", 10)
    TellingConnector.mapping_broken = True
    for number in range(30):
        tell(row, f"e{number}", f"A{number % 13}", level(f"A{number % 13}", number, number))
    work()
    TellingConnector.mapping_broken = False
    made = dry_run()
    assert made.tried == sum(outcomes(made).values()) == 25
    assert len(made.records) == 13
