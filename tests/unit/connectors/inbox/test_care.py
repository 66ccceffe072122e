"""Gaps in an upstream's events are filled, and nobody is surprised by a retention window."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db.models.functions import Now

from connectors.inbox import care, fetch
from connectors.inbox.arrive import Arrival
from connectors.models import Checkpoint, Connection, EventPosition, InboxEvent, SyncRun
from connectors.runtime.connect import connect
from observability import retention
from tests.telling import inlet, key, outcome, telling
from tests.vendors import CREDENTIALS

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def row() -> Connection:
    return telling()


@pytest.fixture(autouse=True)
def nobody_warned() -> Iterator[None]:
    care._warned.clear()
    yield
    care._warned.clear()


def arrive(row: Connection, *numbers: int) -> None:
    """Events of the sender's with these numbers, in this order."""
    with inlet() as made:
        for number in numbers:
            event = Arrival(
                f"e{number}", b"{}", "stock.changed", "stock", key("A"), sequence=number
            )
            made.put(row.pk, [event], {}, "")


def a_while_later() -> None:
    """Whatever is missing has been missing for long enough."""
    InboxEvent.objects.update(received_at=Now() - timedelta(seconds=care.LATE_SECONDS + 60))


def backfills() -> list[SyncRun]:
    return list(SyncRun.objects.filter(kind=SyncRun.Kind.BACKFILL))


def test_a_missing_number_plans_a_backfill_from_before_the_gap_and_only_one(
    row: Connection,
) -> None:
    arrive(row, 7, 8, 9)
    care.find_gaps()
    arrive(row, 12, 13)
    a_while_later()
    before = InboxEvent.objects.get(sequence=9).received_at
    care.find_gaps()
    care.find_gaps()
    (run,) = backfills()
    assert run.since == before - care.MARGIN
    assert "10 to 11" in run.asked_by
    assert EventPosition.objects.get().sequence == 13


def test_numbers_that_come_in_another_order_are_no_gap(row: Connection) -> None:
    arrive(row, 1, 3, 2, 5)
    care.find_gaps()
    arrive(row, 4)
    a_while_later()
    care.find_gaps()
    assert backfills() == []
    assert EventPosition.objects.get().sequence == 5


def test_an_event_that_is_late_is_given_a_moment(row: Connection) -> None:
    arrive(row, 1, 3)
    care.find_gaps()
    assert backfills() == []


def test_each_gap_has_a_backfill_of_its_own_or_one_that_covers_both(row: Connection) -> None:
    arrive(row, 1)
    care.find_gaps()
    arrive(row, 3, 5)
    a_while_later()
    for _ in range(4):
        care.find_gaps()
    (run,) = backfills()
    assert run.since is not None
    assert run.since <= InboxEvent.objects.get(sequence=1).received_at
    assert EventPosition.objects.get().sequence == 5


def test_where_the_sender_says_that_it_left_events_out_the_stream_is_read_again(
    row: Connection,
) -> None:
    with inlet() as made:
        since = row.created_at - timedelta(hours=1)
        gap = Arrival("gap", b"{}", "GAP", "stock", key_only=True, gap_since=since)
        made.put(row.pk, [gap], {}, "")
    fetch.fetch_batch(row.pk)
    (run,) = backfills()
    assert run.since == since
    assert outcome("gap").state == "applied"


def test_people_are_told_once_before_an_upstream_forgets() -> None:
    salesforce = connect("crm", "salesforce", "http://127.0.0.1:9", CREDENTIALS["salesforce"])
    stream = salesforce.streams.get(slug="accounts")
    mark = Checkpoint.objects.create(stream=stream, watermark=Now() - timedelta(hours=53))
    assert care.warn_of_retention() == []
    Checkpoint.objects.filter(pk=mark.pk).update(watermark=Now() - timedelta(hours=55))
    (risk,) = care.warn_of_retention()
    assert risk.stream == stream
    assert timedelta(hours=16) < risk.left < timedelta(hours=18)
    assert care.warn_of_retention() == []


def test_what_is_long_done_is_pruned_and_dead_letters_stay(row: Connection) -> None:
    arrive(row, 1, 2, 3)
    InboxEvent.objects.filter(sequence=1).update(state="applied")
    InboxEvent.objects.filter(sequence=2).update(state="dead")
    InboxEvent.objects.update(received_at=Now() - timedelta(days=31))
    assert retention.prune() == 1
    assert sorted(e.sequence or 0 for e in InboxEvent.objects.all()) == [2, 3]
