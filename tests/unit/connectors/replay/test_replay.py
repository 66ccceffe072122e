"""Replay: which letters, once, from the first attempt on; and never over something newer."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from django.db import connection as database

from catalog.entities import Stock
from catalog.history import Revision
from connectors.inbox import events, fetch
from connectors.inbox.apply import OLDER, Applier
from connectors.inbox.letters import INBOX
from connectors.inbox.reread import NOTHING_NEW
from connectors.models import Connection, InboxEvent, Stream
from connectors.replay.chosen import Chosen, UnclearError
from connectors.runtime import wake
from observability.errors import PermanentError
from tests.telling import TellingConnector, deliver, key, level, outcome, tell, telling, work

pytestmark = pytest.mark.django_db(transaction=True)

ALL = Chosen(places={"connection": "telling"})


@pytest.fixture
def row() -> Connection:
    return telling()


def broken(row: Connection, count: int, second: float = 1) -> None:
    """So many dead letters of a broken mapping, which is mended then."""
    TellingConnector.mapping_broken = True
    for number in range(count):
        tell(row, f"e{number}", f"A{number}", level(f"A{number}", number, second))
    work()
    TellingConnector.mapping_broken = False
    assert INBOX.dead(ALL).count() == count


def available(sku: str) -> Decimal | None:
    found = Stock.objects.filter(key=f"{sku}/AMS", deleted_at=None).first()
    return None if found is None else found.available


def test_replayed_letters_are_applied_and_keep_their_errors(row: Connection) -> None:
    broken(row, 3)
    before = outcome("e1")
    ear = wake.Ear([wake.INBOX])
    assert INBOX.replay(ALL, "ola") == 3
    ear.wait(0)
    ear.close()
    waiting = outcome("e1")
    assert (waiting.state, waiting.attempts, waiting.finished_at) == ("received", 0, None)
    assert (waiting.replays, waiting.replayed_by) == (1, "ola")
    assert waiting.errors[:-1] == before.errors
    assert (waiting.errors[-1]["code"], waiting.errors[-1]["error"]) == (
        "replay",
        "replayed by ola",
    )
    work()
    assert [outcome(f"e{n}").state for n in range(3)] == ["applied"] * 3
    assert available("A2") == 2


def test_the_whole_retry_policy_applies_again(row: Connection) -> None:
    Stream.objects.filter(connection=row).update(retry_seconds=[0, 0])
    tell(row, "bad", "A", level("A", 5, 1, poison="defect"))
    work()
    assert outcome("bad").attempts == 3
    assert INBOX.replay(Chosen(ids=(outcome("bad").pk,)), "ola") == 1
    work()
    dead = outcome("bad")
    assert (dead.state, dead.attempts, dead.replays) == ("dead", 3, 1)
    assert [e["attempt"] for e in dead.errors] == [1, 2, 3, 0, 1, 2, 3]


def test_only_dead_letters_are_replayed_and_each_once(row: Connection) -> None:
    broken(row, 40)
    tell(row, "fine", "B", level("B", 1, 1))
    work()

    def one(_: int) -> int:
        try:
            return INBOX.replay(ALL, "ola")
        finally:
            database.close()

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(one, range(4))) == 40
    assert outcome("fine").replays == 0
    assert set(InboxEvent.objects.exclude(event_id="fine").values_list("replays", flat=True)) == {1}


def test_an_empty_filter_is_refused(row: Connection) -> None:
    broken(row, 1)
    for empty in (Chosen(), Chosen.read({"code": " ", "seen": "2026-01-01"}, INBOX.places)):
        with pytest.raises(UnclearError, match="empty filter"):
            INBOX.replay(empty, "ola")
        with pytest.raises(UnclearError, match="empty filter"):
            INBOX.dry_run(empty)
    assert outcome("e0").state == "dead"


def test_letters_are_chosen_by_place_code_cause_time_text_and_id(row: Connection) -> None:
    broken(row, 3)
    tell(row, "other", "B", {**level("B", 1, 1), "available": "many"})
    work()
    first, other = outcome("e0"), outcome("other")

    def found(**words: str) -> set[str]:
        chosen = Chosen.read(words, INBOX.places)
        assert Chosen.read(chosen.words(), INBOX.places) == chosen
        return set(INBOX.dead(chosen).values_list("event_id", flat=True))

    assert found(connection="telling", stream="stock") == {"e0", "e1", "e2", "other"}
    assert found(connection="another") == set()
    assert found(code="contract", q=key("A1")) == {"e1"}
    assert found(q=f"#{other.pk}") == {"other"}
    assert found(ids=f"{first.pk},{other.pk}") == {"e0", "other"}
    assert other.finished_at is not None
    assert found(since=other.finished_at.isoformat()) == {"other"}
    assert found(until="2020-01-01") == set()
    broken_mapping, breach = INBOX.causes(ALL)
    assert (broken_mapping.count, breach.count) == (3, 1)
    assert found(cause=broken_mapping.key) == {"e0", "e1", "e2"}
    assert found(cause=breach.key) == {"other"}


@pytest.mark.parametrize(
    "words", [{"since": "yesterday"}, {"until": "2026-13-01"}, {"ids": "1;2"}, {"ids": "9" * 30}]
)
def test_what_is_unclear_is_said(words: dict[str, str]) -> None:
    with pytest.raises(UnclearError, match=next(iter(words))):
        Chosen.read(words, INBOX.places)


def test_causes_leave_out_what_differs_from_letter_to_letter(row: Connection) -> None:
    errors = [
        ("a", "quantity: wanted 5, came 6.50 (came: 'many')"),
        ("b", "quantity: wanted 71, came 1,000 (came: 'a few')"),
        ("c", "order 4bf92f35-77b3-4da6-a3ce-929d0e0e4736 doesn't exist"),
        ("d", "order 00f067aa-0ba9-02b7-0000-000000000001 doesn't exist"),
        ("e", "order doesn't have a 'currency'"),
    ]
    for name, error in errors:
        tell(row, name, name, level(name, 1, 1))
        InboxEvent.objects.filter(event_id=name).update(
            state="dead", error_code="contract", error=error, finished_at="2026-01-01T00:00Z"
        )
    found = INBOX.causes(ALL)
    assert {c.error: c.count for c in found} == {
        "quantity: wanted #, came # (came: …)": 2,
        "order # doesn't exist": 2,
        "order doesn't have a …": 1,
    }
    assert [c.count for c in found] == [2, 2, 1]
    assert found[0].places == ("telling", "stock")
    assert found[0].sample in set(InboxEvent.objects.values_list("pk", flat=True))


def test_a_replay_of_something_older_is_superseded(row: Connection) -> None:
    broken(row, 1, second=10)
    tell(row, "newer", "A0", level("A0", 77, 20))
    work()
    INBOX.replay(ALL, "ola")
    work()
    late = outcome("e0")
    assert (late.state, late.note) == ("superseded", OLDER)
    assert available("A0") == 77


def test_a_replay_does_not_bring_back_what_was_deleted_since(row: Connection) -> None:
    tell(row, "first", "A0", level("A0", 1, 1))
    work()
    broken(row, 1, second=10)
    tell(row, "gone", "A0")
    fetch.fetch_batch(row.pk)
    work()
    assert available("A0") is None
    INBOX.replay(ALL, "ola")
    work()
    assert (outcome("e0").state, outcome("e0").note) == ("superseded", OLDER)
    assert available("A0") is None


def test_an_old_answer_does_not_overwrite_a_later_one_of_the_same_version(row: Connection) -> None:
    TellingConnector.held[key("A")] = level("A", 1, 5)
    tell(row, "asked", "A")
    fetch.fetch_batch(row.pk)
    TellingConnector.mapping_broken = True
    work()
    TellingConnector.mapping_broken = False
    assert outcome("asked").state == "dead"
    TellingConnector.held[key("A")] = level("A", 2, 5)
    tell(row, "later", "A")
    fetch.fetch_batch(row.pk)
    work()
    assert available("A") == 2
    INBOX.replay(ALL, "ola")
    work()
    assert available("A") == 2
    assert (outcome("asked").state, outcome("asked").note) == ("superseded", OLDER)


def test_a_letter_that_was_fetched_is_applied_from_what_is_stored(row: Connection) -> None:
    TellingConnector.held[key("A")] = level("A", 1, 5)
    tell(row, "asked", "A")
    fetch.fetch_batch(row.pk)
    TellingConnector.mapping_broken = True
    work()
    TellingConnector.mapping_broken = False
    TellingConnector.asked.clear()
    INBOX.replay(ALL, "ola")
    work()
    assert outcome("asked").state == "applied"
    assert available("A") == 1
    assert TellingConnector.asked == []


def test_a_refused_question_is_asked_again(row: Connection) -> None:
    TellingConnector.held[key("A")] = PermanentError("400")
    tell(row, "asked", "A")
    fetch.fetch_batch(row.pk)
    assert outcome("asked").state == "dead"
    TellingConnector.held[key("A")] = level("A", 4, 5)
    INBOX.replay(ALL, "ola")
    fetch.fetch_batch(row.pk)
    work()
    assert available("A") == 4


def test_an_unreadable_delivery_is_read_anew(row: Connection) -> None:
    TellingConnector.webhook_broken = True
    for number in (1, 2):
        told = {"id": f"e{number}", "key": key("A"), "record": level("A", number, number)}
        deliver(row, json.dumps(told).encode())
    letters = list(InboxEvent.objects.order_by("id"))
    assert [(m.state, m.stream) for m in letters] == [("dead", ""), ("dead", "")]
    INBOX.replay(ALL, "ola")
    work()
    assert [m.state for m in InboxEvent.objects.all()] == ["dead", "dead"]
    assert InboxEvent.objects.latest("id").errors[-1]["error"].endswith("has no type")
    TellingConnector.webhook_broken = False
    INBOX.replay(ALL, "ola")
    # The sender repeats the second one by itself.
    tell(row, "e2", "A", level("A", 2, 2))
    work()
    first, second = (InboxEvent.objects.get(pk=m.pk) for m in letters)
    new = outcome("e1")
    assert (first.state, first.note) == ("applied", f"read anew: #{new.pk}")
    assert (second.state, second.note) == ("superseded", NOTHING_NEW)
    assert (new.received_at, new.correlation_id) == (first.received_at, "corr-delivery")
    assert available("A") == 2
    assert Revision.objects.filter(kind="created").count() == 1


def test_what_is_no_json_stays_a_dead_letter(row: Connection) -> None:
    deliver(row, b"not json \xff")
    INBOX.replay(ALL, "ola")
    work()
    dead = InboxEvent.objects.get()
    assert (dead.state, dead.error_code, dead.attempts) == ("dead", "contract", 1)


def test_what_killed_its_worker_is_still_tried_alone(row: Connection) -> None:
    tell(row, "e1", "A", level("A", 1, 1))
    InboxEvent.objects.update(
        state="dead", error_code="abandoned", error="its worker ended", finished_at="2026-01-01T00Z"
    )
    INBOX.replay(ALL, "ola")
    assert events.claim_batch() == []
    (alone,) = events.claim_alone()
    Applier().apply([alone])
    assert outcome("e1").state == "applied"
