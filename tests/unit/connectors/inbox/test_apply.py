"""What becomes of events: order, duplicates, ties, poison, lost leases."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.db import connection as database

from catalog.entities import Stock
from catalog.explain import fields_with_parts, provenance_of
from catalog.history import Revision
from catalog.source import SourceRecord
from connectors.inbox import events, fetch
from connectors.inbox.apply import COVERED, OLDER, SAME, Applier
from connectors.models import Connection, InboxEvent, Stream
from observability.errors import PermanentError, RateLimitedError, RetryableError
from tests.telling import TellingConnector, key, level, outcome, tell, telling

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def row() -> Connection:
    return telling()


def work() -> None:
    """Claim and apply until nothing is due."""
    applier = Applier()
    while batch := events.claim_alone() or events.claim_batch():
        applier.apply(batch)


def available(sku: str = "A") -> Decimal | None:
    found = Stock.objects.filter(key=f"{sku}/AMS", deleted_at=None).first()
    return None if found is None else found.available


def test_an_event_with_its_record_is_merged_with_its_provenance_and_revision(
    row: Connection,
) -> None:
    tell(row, "e1", "A", level("A", 5, 1))
    work()
    event = outcome("e1")
    assert (event.state, event.attempts) == ("applied", 1)
    assert available() == 5
    said = SourceRecord.objects.get(record_key=key("A"))
    assert (said.event_id, said.correlation_id, said.run_id) == (event.pk, "corr-e1", None)
    assert said.observed_at == event.received_at
    revision = Revision.objects.get(key="A/AMS")
    assert (revision.kind, revision.event_id, revision.correlation_id) == (
        "created",
        event.pk,
        "corr-e1",
    )


@pytest.mark.parametrize("apart", [True, False])
def test_a_late_older_version_changes_nothing(row: Connection, *, apart: bool) -> None:
    tell(row, "new", "A", level("A", 7, 20))
    if apart:
        work()
    tell(row, "old", "A", level("A", 5, 10))
    work()
    assert available() == 7
    assert outcome("new").state == "applied"
    late = outcome("old")
    assert late.state == "superseded"
    assert late.note == (OLDER if apart else COVERED)
    assert Revision.objects.count() == 1


def test_a_repeated_event_is_one_row_and_a_repeated_content_changes_nothing(
    row: Connection,
) -> None:
    assert tell(row, "e1", "A", level("A", 5, 1))
    assert not tell(row, "e1", "A", level("A", 6, 2))
    work()
    tell(row, "e2", "A", level("A", 5, 1))
    work()
    assert InboxEvent.objects.count() == 2
    assert (outcome("e2").state, outcome("e2").note) == ("superseded", SAME)
    assert Revision.objects.count() == 1


@pytest.mark.parametrize("apart", [True, False])
def test_what_cannot_be_ordered_is_asked_for(row: Connection, *, apart: bool) -> None:
    TellingConnector.held[key("A")] = level("A", 9, 1)
    tell(row, "e1", "A", level("A", 5, 1))
    if apart:
        work()
    tell(row, "e2", "A", level("A", 6, 1))
    work()
    assert (outcome("e2").state, outcome("e2").key_only, outcome("e2").attempts) == (
        "received",
        True,
        0,
    )
    assert fetch.fetch_batch(row.pk) == 1
    work()
    assert available() == 9
    assert outcome("e2").state == "applied"


def test_events_of_one_key_are_answered_by_one_call(row: Connection) -> None:
    TellingConnector.held[key("A")] = level("A", 3, 1)
    for name in ("e1", "e2", "e3"):
        tell(row, name, "A")
    tell(row, "other", "B")
    fetch.fetch_batch(row.pk)
    work()
    assert TellingConnector.asked == [key("A"), key("B")]
    assert [outcome(n).state for n in ("e1", "e2", "e3", "other")] == [
        "superseded",
        "superseded",
        "applied",
        "applied",
    ]
    assert available() == 3


def test_a_record_that_is_gone_is_tombstoned_unless_it_was_read_since(row: Connection) -> None:
    tell(row, "e1", "A", level("A", 5, 1))
    tell(row, "e2", "B", level("B", 5, 1))
    work()
    tell(row, "gone-a", "A")
    tell(row, "gone-b", "B")
    fetch.fetch_batch(row.pk)
    # B is created anew before the answer "not found" has been applied.
    tell(row, "again-b", "B", level("B", 8, 2))
    claimed = events.claim_batch()
    gone_b = [e for e in claimed if e.event_id == "gone-b"]
    Applier().apply([e for e in claimed if e.event_id != "gone-b"])
    Applier().apply(gone_b)
    assert available("A") is None
    assert available("B") == 8
    revision = Revision.objects.filter(key="A/AMS").latest("id")
    assert (revision.kind, revision.event_id) == ("deleted", outcome("gone-a").pk)


@pytest.mark.parametrize("stored", [True, False])
@pytest.mark.parametrize("carried", [True, False])
def test_what_was_true_before_it_was_gone_does_not_bring_it_back(
    row: Connection, *, stored: bool, carried: bool
) -> None:
    """Found by the fault tests: the worker that had the older answer was killed."""
    if stored:
        tell(row, "e1", "A", level("A", 5, 1))
        work()
    TellingConnector.held[key("A")] = level("A", 6, 2)
    tell(row, "older", "A", level("A", 6, 2) if carried else None)
    fetch.fetch_batch(row.pk)
    late = events.claim_batch()
    del TellingConnector.held[key("A")]
    tell(row, "gone", "A")
    fetch.fetch_batch(row.pk)
    work()
    Applier().apply(late)
    assert available() is None
    assert (outcome("gone").state, outcome("older").state) == ("applied", "superseded")
    assert outcome("older").note == OLDER
    # What comes after may be late, or true: the upstream is asked.
    tell(row, "late", "A", level("A", 7, 3))
    work()
    fetch.fetch_batch(row.pk)
    work()
    assert available() is None
    TellingConnector.held[key("A")] = level("A", 8, 4)
    tell(row, "again", "A", level("A", 8, 4))
    work()
    fetch.fetch_batch(row.pk)
    work()
    assert available() == 8


@pytest.mark.parametrize("together", [True, False])
def test_what_is_there_again_stays_whatever_its_version(row: Connection, *, together: bool) -> None:
    """A record restored upstream may carry the change time that it had before it was gone."""
    TellingConnector.held[key("A")] = level("A", 5, 1)
    tell(row, "e1", "A")
    fetch.fetch_batch(row.pk)
    work()
    del TellingConnector.held[key("A")]
    tell(row, "gone", "A")
    fetch.fetch_batch(row.pk)
    if not together:
        work()
    TellingConnector.held[key("A")] = level("A", 5, 1)
    tell(row, "again", "A")
    fetch.fetch_batch(row.pk)
    work()
    assert available() == 5


def test_of_two_answers_of_one_version_the_later_question_decides(row: Connection) -> None:
    TellingConnector.held[key("A")] = level("A", 5, 1)
    tell(row, "first", "A")
    fetch.fetch_batch(row.pk)
    late = events.claim_batch()
    # Changed again within the same second of the upstream's clock.
    TellingConnector.held[key("A")] = level("A", 6, 1)
    tell(row, "second", "A")
    fetch.fetch_batch(row.pk)
    work()
    Applier().apply(late)
    assert available() == 6
    assert (outcome("second").state, outcome("first").state) == ("applied", "superseded")


def test_what_a_former_asker_left_is_asked_at_once(row: Connection) -> None:
    """Its leases are as long as a call may take: a minute for each asker that is killed."""
    tell(row, "e1", "A")
    tell(row, "e2", "B")
    assert len(events.claim_for_fetch(row.pk, 20, 60.0)) == 2
    assert events.BOX.release_expired() == 0
    assert events.BOX.release_expired(events.ASKED) == 2
    tell(row, "e3", "C")
    # Each alone, for one of them may be what ended the asker.
    claims = [[e.event_id for e in events.claim_for_fetch(row.pk, 20, 60.0)] for _ in range(3)]
    assert claims == [["e1"], ["e2"], ["e3"]]


def test_a_breach_of_the_contract_is_a_dead_letter_that_names_the_member(row: Connection) -> None:
    tell(row, "bad", "A", {**level("A", 5, 1), "available": "many"})
    tell(row, "good", "B", level("B", 5, 1))
    work()
    dead = outcome("bad")
    assert (dead.state, dead.attempts, dead.error_code) == ("dead", 1, "contract")
    assert dead.error.startswith("available: ")
    assert "many" in dead.error
    assert available("B") == 5


def test_a_value_that_fits_no_column_fails_alone(row: Connection) -> None:
    tell(row, "bad", "A", level("A", 10**40, 1))
    for number in range(5):
        tell(row, f"good{number}", f"G{number}", level(f"G{number}", number, 1))
    work()
    assert outcome("bad").state in {"retrying", "dead"}
    assert [outcome(f"good{n}").state for n in range(5)] == ["applied"] * 5


def test_a_defect_is_retried_as_the_stream_says_and_each_error_kept(row: Connection) -> None:
    Stream.objects.filter(connection=row).update(retry_seconds=[0, 0])
    tell(row, "bad", "A", level("A", 5, 1, poison="defect"))
    work()
    dead = outcome("bad")
    assert (dead.state, dead.attempts, dead.error_code) == ("dead", 3, "internal")
    assert [e["attempt"] for e in dead.errors] == [1, 2, 3]
    assert all("a defect of the mapping" in e["error"] for e in dead.errors)


def test_what_takes_too_long_is_repeated_alone(
    row: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connectors.inbox.apply.SECONDS_TOGETHER", 0.2)
    monkeypatch.setattr("connectors.inbox.apply.SECONDS_ALONE", 0.2)
    Stream.objects.filter(connection=row).update(retry_seconds=[0])
    tell(row, "bad", "A", level("A", 5, 1, poison="hang"))
    tell(row, "good", "B", level("B", 5, 1))
    Applier().apply(events.claim_batch())
    assert (outcome("good").state, outcome("bad").state) == ("applied", "retrying")
    assert events.claim_batch() == []
    work()
    assert (outcome("bad").state, outcome("bad").attempts) == ("dead", 2)


def expire() -> None:
    with database.cursor() as cursor:
        cursor.execute(
            "UPDATE connectors_inboxevent SET lease_until = now() - interval '1 second'"
            " WHERE state = 'claimed'"
        )


def test_a_worker_that_lost_its_lease_applies_nothing(row: Connection) -> None:
    tell(row, "e1", "A", level("A", 5, 1))
    frozen = events.claim_batch()
    expire()
    assert events.BOX.release_expired() == 1
    late: Any = Applier().apply(frozen)
    assert late == 0
    assert available() is None
    work()
    assert available() == 5
    assert outcome("e1").attempts == 2


def test_what_its_worker_died_of_is_claimed_alone_and_ends_as_a_dead_letter(
    row: Connection,
) -> None:
    Stream.objects.filter(connection=row).update(retry_seconds=[0, 0])
    for name in ("e1", "e2"):
        tell(row, name, name, level(name, 5, 1))
    assert len(events.claim_batch()) == 2
    expire()
    events.BOX.release_expired()
    assert events.claim_batch() == []
    (first,) = events.claim_alone()
    Applier().apply([first])
    (second,) = events.claim_alone()
    expire()
    events.BOX.release_expired()
    assert outcome(first.event_id).state == "applied"
    left = outcome(second.event_id)
    assert (left.state, left.error_code, left.attempts) == ("retrying", "abandoned", 2)
    InboxEvent.objects.update(next_attempt_at=left.received_at)
    events.claim_alone()
    expire()
    events.BOX.release_expired()
    assert (outcome(second.event_id).state, outcome(second.event_id).attempts) == ("dead", 3)


def test_a_rate_limit_pauses_the_connection_and_burns_no_attempt(row: Connection) -> None:
    TellingConnector.held[key("A")] = RateLimitedError("429", retry_after=120.0)
    tell(row, "e1", "A")
    tell(row, "e2", "B")
    fetch.fetch_batch(row.pk)
    assert TellingConnector.asked == [key("A")]
    assert [outcome(n).attempts for n in ("e1", "e2")] == [0, 0]
    assert fetch.due_connections() == []
    row.refresh_from_db()
    assert row.paused_until is not None
    assert (row.paused_until - outcome("e1").received_at).total_seconds() > 110


def test_a_dead_upstream_costs_one_call_and_a_refusal_is_a_dead_letter(row: Connection) -> None:
    TellingConnector.held[key("A")] = RetryableError("503")
    tell(row, "e1", "A")
    tell(row, "e2", "B")
    fetch.fetch_batch(row.pk)
    assert TellingConnector.asked == [key("A")]
    assert (outcome("e1").state, outcome("e1").attempts) == ("retrying", 1)
    assert (outcome("e2").state, outcome("e2").attempts) == ("received", 0)
    Connection.objects.update(paused_until=None)
    # Its random wait may be over by now.
    TellingConnector.held[key("A")] = level("A", 1, 1)
    TellingConnector.held[key("B")] = PermanentError("400")
    fetch.fetch_batch(row.pk)
    assert (outcome("e2").state, outcome("e2").attempts) == ("dead", 1)


def test_provenance_names_the_event(row: Connection) -> None:
    tell(row, "e1", "A", level("A", 5, 1))
    work()
    stock = Stock.objects.get(key="A/AMS")
    entries = provenance_of(list(fields_with_parts(stock)))
    entry = next(e for e in entries if e.field == "available")
    assert entry.event == outcome("e1").pk
