"""Invariant Z: nothing acknowledged is lost, nothing applied twice, no record goes backwards.

The model is a dict: what each record must hold in the end. An event that carries its record counts
with its number, of which the greatest wins; what was only named is what the upstream holds. The
database is read once, when everything has come to rest, and compared:

  lost         acknowledged, and not in the inbox, or with no outcome
  invented     in the inbox, and never sent
  given up     a dead letter that was no poison
  spared       poison that is no dead letter, or not after exactly the configured attempts
  twice        an applied event without exactly one revision, or another one with any; a revision
               without its one change notice
  backwards    a record whose revisions do not rise, or of which one does not begin where the
               one before ended
  differs      a record that does not end as the model says
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise
from typing import Any

import psycopg

from tests.faults.journal import Event, Journal
from tests.faults.upstream import SLUG, WAREHOUSE, record_key

INBOX = """
SELECT e.event_id, e.id, e.state, e.attempts, jsonb_array_length(e.errors) AS errors,
       e.error_code, e.asked_at IS NOT NULL OR e.key_only AS asked,
       EXTRACT(EPOCH FROM e.received_at)::float8 AS received,
       EXTRACT(EPOCH FROM e.finished_at)::float8 AS finished
FROM connectors_inboxevent e JOIN connectors_connection c ON c.id = e.connection_id
WHERE c.slug = %s AND e.event_id LIKE %s"""

REVISIONS = """
SELECT key, kind, changes -> 'available', event_id FROM catalog_revision
WHERE entity = 'stock' AND key LIKE %s ORDER BY id"""

NOTICES = """
SELECT key, count(*) FROM catalog_changenotice n, unnest(n.keys) AS key
WHERE n.entity = 'stock' AND key LIKE %s GROUP BY key"""

STOCK = "SELECT key, available FROM catalog_stock WHERE key LIKE %s AND deleted_at IS NULL"

SAID = """
SELECT r.record_key, r.version / 1000000, r.deleted_at IS NOT NULL
FROM catalog_sourcerecord r JOIN catalog_source s ON s.id = r.source_id
WHERE s.system = %s AND s.stream = 'stock' AND r.record_key LIKE %s"""

OPEN = """
SELECT count(*) FROM connectors_inboxevent
WHERE event_id LIKE %s AND state IN ('received', 'claimed', 'retrying')"""


@dataclass(slots=True)
class Row:
    """An event as the inbox holds it."""

    event_id: str
    id: int
    state: str
    attempts: int
    errors: int
    error_code: str
    asked: bool
    received: float
    finished: float | None


@dataclass(slots=True)
class Verdict:
    """What is wrong, by kind, with the first examples; and how often what came about."""

    wrong: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    states: Counter[str] = field(default_factory=Counter)
    rows: list[Row] = field(default_factory=list)
    revisions: int = 0

    @property
    def holds(self) -> bool:
        return not any(self.wrong.values())

    def as_json(self) -> dict[str, Any]:
        return {
            "Z": self.holds,
            "states": dict(self.states),
            "revisions": self.revisions,
            "wrong": {kind: [len(found), *found[:5]] for kind, found in self.wrong.items()},
        }


def still_open(database: psycopg.Connection[Any], prefix: str) -> int:
    """Events of a scenario without an outcome."""
    row = database.execute(OPEN, [f"{prefix}-%"]).fetchone()
    assert row is not None
    return int(row[0])


def compare(
    database: psycopg.Connection[Any],
    prefix: str,
    journal: Journal,
    upstream: Mapping[str, int],
    *,
    attempts: int,
) -> Verdict:
    """Z of one scenario, whose events and records begin with `prefix`, at rest.

    `attempts` is how often a poisonous event must have been tried.
    """
    pattern = f"{prefix}-%"
    verdict = Verdict(rows=[Row(*r) for r in database.execute(INBOX, [SLUG, pattern])])
    verdict.states.update(row.state for row in verdict.rows)
    revisions = database.execute(REVISIONS, [pattern]).fetchall()
    verdict.revisions = len(revisions)
    stock = {key: int(available) for key, available in database.execute(STOCK, [pattern])}
    _inbox(verdict, journal, attempts)
    _once(verdict, revisions, dict(database.execute(NOTICES, [pattern]).fetchall()))
    _forward(verdict, revisions, stock)
    expected = model(journal, upstream)
    _same(verdict, "the entity", stock, {_entity_key(sku): n for sku, n in expected.items()})
    said = {
        key: int(version) - _EPOCH_SECONDS
        for key, version, gone in database.execute(SAID, [SLUG, record_key(pattern)])
        if not gone
    }
    _same(verdict, "the source record", said, {record_key(s): n for s, n in expected.items()})
    return verdict


_EPOCH_SECONDS = 1767225600  # of `upstream.EPOCH`


def model(journal: Journal, upstream: Mapping[str, int]) -> dict[str, int]:
    """What each record must hold in the end, by sku; those that are gone are not in it."""
    expected: dict[str, int] = {}
    named = set()
    for event in (journal.sent[name] for name in journal.acknowledged):
        if event.asked:
            named.add(event.sku)
        elif not event.poison:
            expected[event.sku] = max(event.number, expected.get(event.sku, 0))
    return expected | {sku: number for sku, number in upstream.items() if sku in named}


def _inbox(verdict: Verdict, journal: Journal, attempts: int) -> None:
    kept = {row.event_id: row for row in verdict.rows}
    for name in journal.acknowledged:
        row = kept.get(name)
        if row is None or row.finished is None:
            said = "is not in the inbox" if row is None else f"is {row.state} still"
            verdict.wrong["lost"].append(f"{name} {said}")
    for row in verdict.rows:
        event = journal.sent.get(row.event_id)
        if event is None:
            verdict.wrong["invented"].append(row.event_id)
        elif event.poison:
            _poison(verdict, event, row, attempts)
        elif row.state == "dead":
            verdict.wrong["given up"].append(f"{row.event_id} after {row.attempts} attempts")


def _poison(verdict: Verdict, event: Event, row: Row, attempts: int) -> None:
    exactly = row.attempts == row.errors == attempts
    if row.state != "dead" or not exactly:
        verdict.wrong["spared"].append(
            f"{event.id} ({event.poison}) is {row.state} after {row.attempts} attempts,"
            f" {row.errors} of them with an error; {attempts} are configured"
        )


def _once(
    verdict: Verdict, revisions: Iterable[tuple[Any, ...]], notices: Mapping[str, int]
) -> None:
    caused: Counter[int] = Counter(event for _, _, _, event in revisions)
    told: Counter[str] = Counter(key for key, _, _, _ in revisions)
    for row in verdict.rows:
        count = caused.get(row.id, 0)
        # An answer may say what an earlier answer said: then it is applied and changes nothing.
        allowed = {"applied": (0, 1) if row.asked else (1,)}.get(row.state, (0,))
        if count not in allowed:
            verdict.wrong["twice"].append(f"{row.event_id} is {row.state}, {count} revisions")
    for key in told.keys() | notices.keys():
        if told[key] != notices.get(key, 0):
            verdict.wrong["twice"].append(
                f"{key}: {told[key]} revisions, {notices.get(key, 0)} notices"
            )


def _forward(
    verdict: Verdict, revisions: Iterable[tuple[Any, ...]], stock: Mapping[str, int]
) -> None:
    chains: dict[str, list[tuple[str, int | None, int | None]]] = defaultdict(list)
    for key, kind, change, _ in revisions:
        old, new = change or (None, None)
        chains[key].append((kind, _number(old), _number(new)))
    for key, chain in chains.items():
        changes = [(old, new) for _, old, new in chain if new is not None]
        if [kind for kind, _, _ in chain].count("created") != 1 or chain[0][0] != "created":
            verdict.wrong["twice"].append(f"{key}: {[kind for kind, _, _ in chain]}")
        if any(new != old for (_, new), (old, _) in pairwise(changes)):
            verdict.wrong["backwards"].append(f"{key}: a change does not follow on: {changes}")
        if any(old is not None and new <= old for old, new in changes):
            verdict.wrong["backwards"].append(f"{key}: {changes}")
        if changes and key in stock and stock[key] != changes[-1][1]:
            verdict.wrong["backwards"].append(f"{key} is {stock[key]} after {changes[-1]}")


def _same(
    verdict: Verdict, what: str, found: Mapping[str, int], expected: Mapping[str, int]
) -> None:
    for key in found.keys() | expected.keys():
        if found.get(key) != expected.get(key):
            verdict.wrong["differs"].append(
                f"{what} {key} is {found.get(key)}, and {expected.get(key)} in the model"
            )


def _entity_key(sku: str) -> str:
    return f"{sku}/{WAREHOUSE}"


def _number(value: Any) -> int | None:
    return None if value is None else int(Decimal(str(value)))
