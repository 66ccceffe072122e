"""How long the catalogue keeps what people's data were."""

from __future__ import annotations

from typing import Any

from django.db import connection

from catalog import masking
from catalog.entities import entities
from observability import retention
from observability.retention import PIECE, Kept, by_age

HISTORY = """
UPDATE catalog_revision SET changes = '{}' WHERE id IN (
    SELECT id FROM catalog_revision WHERE entity = ANY(%(entities)s) AND changes <> '{}'
        AND at < now() - make_interval(days => %(days)s) ORDER BY id LIMIT %(piece)s)"""

WITHDRAWN = """
UPDATE catalog_sourcerecord SET payload = '{}', fields = '{}' WHERE id IN (
    SELECT r.id FROM catalog_source o JOIN catalog_sourcerecord r ON r.source_id = o.id
    WHERE o.entity = ANY(%(entities)s) AND r.fields <> '{}'
      AND r.deleted_at < now() - make_interval(days => %(days)s) ORDER BY r.id LIMIT %(piece)s)"""


def _personal() -> list[str]:
    return [name for name, cls in entities().items() if masking.has_personal(cls)]


def _run(statement: str, days: int) -> int:
    values: dict[str, Any] = {"entities": _personal(), "days": days, "piece": PIECE}
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return int(cursor.rowcount)


def history(days: int) -> int:
    """Former values of records of people; that they changed, and when, stays."""
    return _run(HISTORY, days)


def withdrawn(days: int) -> int:
    """Payloads of people that their systems have withdrawn."""
    return _run(WITHDRAWN, days)


def take_part() -> None:
    """Declare them."""
    retention.declare(
        Kept("personal_history", "Former values of people's records", "personal", 730,
             "emptied; that and when something changed stays", history, can_be_set=True),
        Kept("personal_withdrawn", "Payloads of people whom a system has withdrawn", "personal", 90,
             "emptied; the tombstone stays", withdrawn, can_be_set=True),
        Kept("conflicts", "Conflicts that are over", "as the field", 90, "deleted",
             by_age("catalog_conflict", "closed_at")),
        # The usual of a field is that of its last week.
        Kept("conflict_counts", "Conflicts by field and hour", "numbers", 35, "deleted",
             by_age("catalog_conflictcount", "hour")),
        Kept("notices", "Change notices (keys alone)", "keys", 7, "deleted",
             by_age("catalog_changenotice", "at", "m.told")),
    )  # fmt: skip
